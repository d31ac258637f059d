"""What the page's canvas holds, and when; what its worker has made."""

import numpy as np

from kdiffusion.images import to_uint8

# What the page's workers tell it, as an init script.
RECORD = """
  window.messages = [];
  window.Worker = class extends Worker {
    constructor(...options) {
      super(...options);
      this.addEventListener("message", ({ data }) => messages.push(data));
    }
  };
"""


def finished(page):
    """Waits until the images are finished, or the page says why they can't be."""
    # By selector: the page's policy lets no function in that is made of a string.
    page.wait_for_selector("#canvas[aria-busy=false], #alert:not(:empty)", state="attached")


def choose(page, **fields):
    """Fills in fields of the form by their names, and waits for what they ask for."""
    page.evaluate(
        """fields => {
          const { label } = form.elements;
          const change = () => label.dispatchEvent(new Event("change", { bubbles: true }));
          if ("label" in fields) label.value = fields.label;
          change(); // first: where the class is another, its seed may be too
          for (const [name, value] of Object.entries(fields)) form.elements[name].value = value;
          change();
        }""",
        {name: str(value) for name, value in fields.items()},
    )
    finished(page)


def pixels(page, canvas="#canvas"):
    """What a canvas holds: uint8 [H, W, 3]."""
    width, *rgba = page.locator(canvas).evaluate("""canvas => {
      const { width, height } = canvas;
      return [width, ...canvas.getContext("2d").getImageData(0, 0, width, height).data];
    }""")
    rgba = np.reshape(rgba, (-1, width, 4))
    assert np.all(rgba[..., 3] == 255)
    return rgba[..., :3]


def tile(label):
    """The selector of a class's tile."""
    return f"#tiles li:nth-child({label + 1}) canvas"


def levels_off(page, image, canvas="#canvas"):
    """How far each value of a canvas is from an image of Python's loop: int [H, W, 3]."""
    shown, expected = pixels(page, canvas), to_uint8(image).astype(int)
    assert shown.shape == expected.shape
    return np.abs(shown - expected)


def assert_pixels(page, image, canvas="#canvas"):
    """A canvas holds an image of Python's loop, to one level."""
    off = levels_off(page, image, canvas)
    assert off.max() <= 1, f"{np.sum(off > 1)} of {off.size} values are up to {off.max()} off"


def address_of(page):
    """The page's address, when it is that of the newest image: of a burst it shows the last."""
    page.wait_for_timeout(1000)  # milliseconds
    return page.url


def told(page, kind):
    """How many messages of a kind the workers have sent."""
    return page.evaluate("kind => messages.filter((each) => each.kind === kind).length", kind)
