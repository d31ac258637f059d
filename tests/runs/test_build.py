"""Every setting reaches what is trained."""

import keras
import pytest

from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.networks import NETWORKS, layers_in
from kdiffusion.runs.config import OPTIMIZERS
from tests.cases import side_by_side


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_every_setting_reaches_the_model_and_its_optimizer(tiny_model, name):
    diffusion = {
        "schedule": "cosine", "schedule_options": ["offset=0.02"], "num_timesteps": 50,
        "zero_terminal_snr": True, "prediction_type": "v",
    }  # fmt: skip
    objective = {
        "loss_weighting": "edm", "timestep_sampling": "uniform", "log_sigma_mean": 0.1,
        "log_sigma_std": 0.5, "label_dropout": 0.3,
    }  # fmt: skip
    optimizer = {
        "name": name, "learning_rate": 0.5, "learning_rate_shape": "trapezoid",
        "cooldown_fraction": 0.5, "final_learning_rate_fraction": 0.0, "beta_1": 0.8,
        "beta_2": 0.95, "weight_decay": 0.1, "gradient_clip_norm": 0.25,
        "gradient_accumulation": 4, "ema_decay": 0.5,
    }  # fmt: skip
    model = tiny_model(
        diffusion=diffusion, objective=objective, optimizer=optimizer, sampling={"steps": 2},
        run={"seed": 7},
    )  # fmt: skip
    assert model.schedule == make_schedule("cosine", 50, True, offset=0.02)
    config = model.get_config()
    assert config["prediction_type"] == "v"
    assert config["objective"] == ["Denoising", objective]
    same = ("gradient_clip_norm", "gradient_accumulation", "ema_decay")
    assert {key: config[key] for key in same} == {key: optimizer[key] for key in same}
    assert config["seed"] == 7
    prefix = "adam_" if name == "muon" else ""
    made = model.optimizer
    assert [getattr(made, f"{prefix}beta_{k}") for k in (1, 2)] == [0.8, 0.95]
    assert {made.weight_decay, getattr(made, f"{prefix}weight_decay")} == {0.1}
    rate = made._learning_rate  # of 12 steps the last six fall
    assert [float(rate(step)) for step in (6, 9, 12)] == pytest.approx([0.5, 0.25, 0.0])


@pytest.mark.parametrize(("network", "optimizer"), side_by_side(NETWORKS, OPTIMIZERS))
def test_no_name_tells_what_was_built_before(tiny_model, network, optimizer):
    """Names order a graph's nodes, and with them its sums: a resumed run needs the same ones."""
    sections = {
        "model": {
            "network": network, "base_channels": 32, "channel_multipliers": [1, 2],
            "attention_resolutions": [4], "scale_shift": True,
        },
        "optimizer": {"name": optimizer},
        "objective": {"timestep_sampling": "loss_second_moment"},
    }  # fmt: skip
    found = []
    for _ in range(2):
        model = tiny_model(**sections)
        layers = [layer.name for layer in layers_in(model.network)]
        held = [*model.weights, *model.optimizer.variables]
        found.append((layers, [variable.path for variable in held]))
        # Keras counts these, too.
        _ = keras.layers.Dense(3), keras.layers.Conv2D(3, 3), keras.layers.Embedding(3, 3)
    assert found[0] == found[1]
