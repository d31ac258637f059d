"""Every setting reaches what is trained."""

import pytest

from kdiffusion.diffusion.schedules import make_schedule


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_every_setting_reaches_the_model_and_its_optimizer(tiny_model, name):
    diffusion = {
        "schedule": "cosine", "schedule_options": ["offset=0.02"], "num_timesteps": 50,
        "zero_terminal_snr": True, "prediction_type": "v", "loss_weighting": "edm",
        "timestep_sampling": "uniform", "log_sigma_mean": 0.1, "log_sigma_std": 0.5,
        "learned_weighting": True, "label_dropout": 0.3,
    }  # fmt: skip
    optimizer = {
        "name": name, "learning_rate": 0.5, "learning_rate_shape": "trapezoid",
        "cooldown_fraction": 0.5, "final_learning_rate_fraction": 0.0, "beta_1": 0.8,
        "beta_2": 0.95, "weight_decay": 0.1, "gradient_clip_norm": 0.25,
        "gradient_accumulation": 4, "rematerialise": True, "ema_decay": 0.5,
    }  # fmt: skip
    model = tiny_model(
        diffusion=diffusion, optimizer=optimizer, sampling={"steps": 2},
        run={"seed": 7, "loss_by_class": True, "steps_per_execution": 3},
    )  # fmt: skip
    assert model.schedule == make_schedule("cosine", 50, True, offset=0.02)
    same = ("prediction_type", "loss_weighting", "timestep_sampling", "learned_weighting",
            "label_dropout")  # fmt: skip
    config = model.get_config()
    assert {key: config[key] for key in same} == {key: diffusion[key] for key in same}
    assert tuple(config["log_sigma"]) == (0.1, 0.5)
    same = ("gradient_clip_norm", "gradient_accumulation", "rematerialise", "ema_decay")
    assert {key: config[key] for key in same} == {key: optimizer[key] for key in same}
    assert (config["seed"], config["loss_by_class"]) == (7, True)
    assert model.steps_per_execution == 3
    prefix = "adam_" if name == "muon" else ""
    made = model.optimizer
    assert [getattr(made, f"{prefix}beta_{k}") for k in (1, 2)] == [0.8, 0.95]
    assert {made.weight_decay, getattr(made, f"{prefix}weight_decay")} == {0.1}
    rate = made._learning_rate  # of 12 steps the last six fall
    assert [float(rate(step)) for step in (6, 9, 12)] == pytest.approx([0.5, 0.25, 0.0])
