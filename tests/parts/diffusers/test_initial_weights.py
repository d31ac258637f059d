"""A run that starts from a network that `import` read: its labels."""

from pathlib import Path

import numpy as np

from kdiffusion.networks import LABEL_TABLE, describe, named_weights
from kdiffusion.parts.diffusers.unet2d import UNet2D
from kdiffusion.runs.build import build_model
from kdiffusion.runs.initial_weights import InitialWeights
from kdiffusion.runs.resolve import resolve
from tests.runs.conftest import tiny


def test_an_unconditional_parent_is_given_labels_and_predicts_what_it_did(make_card):
    network = UNet2D(
        (8, 8, 1), 1, (4, 8), 1, (False, True), (True, False),
        head_channels=2, norm_groups=2, norm_epsilon=1e-5, symmetric_padding=True,
        cosine_first=True, frequency_shift=0,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    network.set_weights([0.3 * rng.standard_normal(w.shape) for w in network.get_weights()])
    named_weights(network)[LABEL_TABLE].assign(np.zeros((2, 16)))
    card = make_card(image_shape=(8, 8, 1), class_names=("image",), null_label=1)
    weights = {name: np.asarray(value) for name, value in named_weights(network).items()}
    parent = InitialWeights(card, weights, *describe(network), path=Path("x"), name="x")
    asked = tiny(model={"network": "parent", "dropout": 0.1}, run={"init_from": "x"})
    config = resolve(asked, None, parent, (8, 8, 1))
    assert (config.model.network, config.model.dropout) == ("unet2d", 0.1)
    assert type(config).from_json(config.to_json()) == config
    child = build_model(config, (8, 8, 1), 10, total_steps=12)
    lines = parent.give_to(child, tuple("0123456789"))
    count = len(network.weights)
    assert lines[0].startswith(f"Starting from {count} of {count} weights")
    assert lines[1].startswith("New classes, which start as no class: 0, 1,")
    inputs = {
        "noisy_image": np.random.default_rng(0).standard_normal((11, 8, 8, 1)).astype("float32"),
        "timestep": np.arange(11, dtype="int32"),
    }
    before = network({**inputs, "label": np.zeros(11, "int32")})
    for each in (child.network, child.ema_network):
        np.testing.assert_array_equal(each({**inputs, "label": np.arange(11)}), before)
    assert np.std(before) > 0.01
