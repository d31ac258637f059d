"""The page of a student of few steps, which has ten classes and takes no guidance."""

import pytest

from kdiffusion.parts.web import write_site
from tests.onnx_models import write_toy

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def page(tmp_path_factory, make_card, find_program, serve, opened):
    find_program("npm", "npm, which comes with Node.js")
    folder = tmp_path_factory.mktemp("few_steps")
    classes = {"class_names": tuple("0123456789"), "null_label": 10}
    card = make_card(image_shape=(8, 8, 3), steps=2, timesteps=(999, 500), **classes)
    write_site(write_toy(folder / "model.onnx", card.to_json(), (8, 8, 3)), folder / "site")
    return opened(serve(folder / "site"), viewport=PHONE)


def test_ten_tiles_fill_the_rows_of_a_phone(page):
    boxes = [tile.bounding_box() for tile in page.locator("#tiles li").all()]
    rows = {box["y"]: [other for other in boxes if other["y"] == box["y"]] for box in boxes}
    assert [len(row) for row in rows.values()] == [5, 5]
    assert page.locator("#tiles").evaluate("tiles => tiles.scrollHeight <= tiles.clientHeight")
    assert boxes[0]["x"] == 16
    assert boxes[-1]["x"] + boxes[-1]["width"] == pytest.approx(PHONE["width"] - 16)


def test_what_a_student_has_not_learned_is_neither_offered_nor_drawn(page):
    assert page.locator("#guidance").is_hidden()
    assert page.locator("#steps").get_attribute("readonly") is not None
    address = page.url.split("?")[0]
    for name, value in (("guidance", 2), ("steps", 8)):
        page.goto(f"{address}?{name}={value}")
        page.get_by_text(f"“{name}” must be").wait_for()
