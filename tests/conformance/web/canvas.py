"""What the page's canvas holds, and when; what its worker has made."""

import numpy as np

from kdiffusion.images import to_uint8

# What the page's worker tells it, as an init script.
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


def pixels(page):
    """What the canvas holds: uint8 [H, W, 3]."""
    width, *rgba = page.evaluate("""() => {
      const { width, height } = canvas;
      return [width, ...canvas.getContext("2d").getImageData(0, 0, width, height).data];
    }""")
    rgba = np.reshape(rgba, (-1, width, 4))
    assert np.all(rgba[..., 3] == 255)
    return rgba[..., :3]


def levels_off(page, image):
    """How far each value of the canvas is from an image of Python's loop: int [H, W, 3]."""
    expected = to_uint8(image).astype(int)
    assert pixels(page).shape == expected.shape
    return np.abs(pixels(page) - expected)


def assert_pixels(page, image):
    """The canvas holds an image of Python's loop, to one level."""
    off = levels_off(page, image)
    assert off.max() <= 1, f"{np.sum(off > 1)} of {off.size} values are up to {off.max()} off"


def address_of(page):
    """The page's address, when it is that of the newest image: of a burst it shows the last."""
    page.wait_for_timeout(500)
    return page.url


def steps_drawn(page):
    """How many steps the worker has told of, of all images, to a page that has RECORD."""
    return page.evaluate("messages.filter(({ kind }) => kind === 'step').length")
