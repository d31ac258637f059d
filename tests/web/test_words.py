"""What the page says of its model."""

import json


def test_images_that_a_parent_saw_are_not_counted_and_that_is_said(ask, make_card):
    def said(**facts):
        card = json.loads(make_card(images_seen=1200, **facts).to_json())
        return ask("origin", card=card, runtime="WebAssembly")

    assert said() == (
        "Made with kdiffusion: preset toy, 1,200 training images seen. Runs on WebAssembly."
    )
    assert "1,200 further training images seen by weights that were trained before" in said(
        parent={"name": "first", "sha256": 64 * "a"}
    )
