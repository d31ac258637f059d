"""The page of a student of few steps, which takes no guidance."""

import pytest

from kdiffusion.artifacts.released import released_models
from kdiffusion.parts.web import write_site

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def address(tmp_path_factory, find_program, serve):
    find_program("npm", "npm, which comes with Node.js")
    folder = tmp_path_factory.mktemp("few_steps") / "site"
    write_site(released_models()["cifar10_few_steps"], folder)
    return serve(folder)


@pytest.fixture(scope="module")
def page(opened, address):
    return opened(address, viewport=PHONE)


def test_guidance_is_not_offered_by_a_model_that_has_none(page):
    assert page.locator("#guidance").is_hidden()
    assert page.inner_text("#caption") == "All classes, seed 0; 4 steps of ddim"
