"""diffusers' scheduler_config.json ► the noise schedule, and how the pipeline samples."""

from typing import Any

import numpy as np

from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.prediction import check_prediction_type
from kdiffusion.diffusion.schedules import MAX_BETA, cosine_alphas_cumprod, zero_terminal_snr
from kdiffusion.diffusion.spacing import SPACINGS
from kdiffusion.tables import check_name

# Fields of the solvers, with the values that ours agree with.
SOLVER = {
    "solver_order": 2, "lower_order_final": True, "final_sigmas_type": "zero",
    "use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False,
    "use_flow_sigmas": False,
}  # fmt: skip
UNIPC = {**SOLVER, "solver_type": "bh2", "predict_x0": True, "disable_corrector": []}
DPM = {
    **SOLVER, "solver_type": "midpoint", "algorithm_type": "dpmsolver++", "euler_at_final": False,
    "use_lu_lambdas": False,
}  # fmt: skip
# Sampler here ► its class there, and what makes the two agree.
SCHEDULERS = {
    "ddpm": ("DDPMScheduler", {}),
    "ddim": ("DDIMScheduler", {"set_alpha_to_one": True}),
    "unipc": ("UniPCMultistepScheduler", UNIPC),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", DPM),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", {**DPM, "algorithm_type": "sde-dpmsolver++"}),
}
# Pipeline ► the sampler that it makes of its scheduler, None for the scheduler's own; and the steps
# that it takes by default.
PIPELINES = {"DDPMPipeline": (None, 1000), "DDIMPipeline": ("ddim", 50)}
PREDICTION_TYPES = {"epsilon": "epsilon", "sample": "x0", "v_prediction": "v"}


# Each takes (beta_start, beta_end, num_train_timesteps) and gives betas, float64.
BETAS = {
    "linear": np.linspace,
    "scaled_linear": lambda start, end, steps: np.linspace(start**0.5, end**0.5, steps) ** 2,
    "sigmoid": lambda start, end, steps: (
        1.0 / (1.0 + np.exp(-np.linspace(-6, 6, steps))) * (end - start) + start
    ),
    "squaredcos_cap_v2": lambda start, end, steps: np.minimum(
        NoiseSchedule(cosine_alphas_cumprod(steps)).betas, MAX_BETA
    ),
}
# Fields that change how the pipeline samples, with the values that our samplers agree with.
NO_EFFECT = {
    "thresholding": False, "clip_sample_range": 1.0, "set_alpha_to_one": True, "steps_offset": 0,
    "flow_shift": 1.0, "use_dynamic_shifting": False, "solver_p": None, "sigma_min": None,
    "sigma_max": None, "shift_terminal": None,
}  # fmt: skip
# What else such a file may have: what is read here, and what has no effect on sampling.
KNOWN = {
    *NO_EFFECT, *UNIPC, *DPM, "num_train_timesteps", "beta_start", "beta_end", "beta_schedule",
    "trained_betas", "variance_type", "clip_sample", "prediction_type", "timestep_spacing",
    "rescale_betas_zero_snr", "dynamic_thresholding_ratio", "sample_max_value", "tensor_format",
    "lambda_min_clipped", "time_shift_type",
}  # fmt: skip


def schedule_of(config: dict[str, Any]) -> tuple[NoiseSchedule, str]:
    """The noise schedule of a scheduler.

    Args:
        config: dict, the content of its scheduler_config.json.

    Returns:
        (NoiseSchedule, prediction type).

    Raises:
        ValueError: names the field that isn't supported, the values that are, and what it is.
    """
    classes = {name for name, _ in SCHEDULERS.values()}
    check_name("_class_name", config.get("_class_name", ""), classes)
    check_name("timestep_spacing", config.get("timestep_spacing", "leading"), SPACINGS)
    target = config.get("prediction_type", "epsilon")
    target = PREDICTION_TYPES[check_name("prediction_type", target, PREDICTION_TYPES)]
    for name in config:
        if not name.startswith("_"):
            check_name("scheduler field", name, sorted(KNOWN))
    betas = config.get("trained_betas")
    if betas is None:
        make = BETAS[check_name("beta_schedule", config.get("beta_schedule", "linear"), BETAS)]
        ends = config.get("beta_start", 1e-4), config.get("beta_end", 0.02)
        betas = make(*ends, config.get("num_train_timesteps", 1000))
    alphas_cumprod = np.cumprod(1.0 - np.array(betas, np.float64))
    if config.get("rescale_betas_zero_snr"):
        alphas_cumprod = zero_terminal_snr(alphas_cumprod)
    schedule = NoiseSchedule(alphas_cumprod)
    check_prediction_type(target, schedule)
    return schedule, target


def sampling_of(
    config: dict[str, Any], timesteps: int, pipeline: str | None = None
) -> tuple[dict[str, Any], list[str]]:
    """How the pipeline samples by default.

    Args:
        config: the content of scheduler_config.json, which `schedule_of` has accepted.
        timesteps: int, T.
        pipeline: str. A key of `PIPELINES`; none for the scheduler by itself.

    Returns:
        (dict of a card's sampler, steps, spacing, clip and variance; fields for which it has none).
    """
    sampler = _sampler_of(config)
    made, steps = PIPELINES[pipeline] if pipeline else (None, 1000 if sampler == "ddpm" else 50)
    sampler, steps = made or sampler, min(steps, timesteps)
    alike = NO_EFFECT | SCHEDULERS[sampler][1]
    fields = {name: config.get(name, value) for name, value in alike.items()}
    is_solver = "solver_order" in alike  # which clips by thresholding alone
    clips = bool(config.get("clip_sample", not is_solver)) or bool(fields["thresholding"])
    if config.get("sample_max_value", 1.0) == 1.0:
        fields["thresholding"] = False  # by a threshold of 1 at least and at most: it clips
    spacing = config.get("timestep_spacing", "linspace" if is_solver else "leading")
    is_large = sampler == "ddpm" and str(config.get("variance_type")).startswith("fixed_large")
    without = [f"{name}={value!r}" for name, value in fields.items() if value != alike[name]]
    if spacing != "trailing" and is_solver:
        without.append(f"timestep_spacing={spacing!r}")
        spacing = "trailing"
    if sampler == "ddim" and (
        (spacing == "linspace" and steps < timesteps)
        or (spacing == "trailing" and timesteps % steps)
    ):
        # DDIM goes as far down there wherever the next timestep lies.
        without.append(f"timestep_spacing={spacing!r}")
    if sampler == "ddim" and clips:
        # There the noise stays as it was predicted; here it follows from the clipped image.
        without.append("use_clipped_model_output=False")
    variance = "fixed_large" if is_large else "fixed_small"
    chosen = {"sampler": sampler, "steps": steps, "spacing": spacing}
    return {**chosen, "clip": clips, "variance": variance}, without


def _sampler_of(config):
    """The sampler that a scheduler is here: by its class, and its algorithm if it has two."""
    found = [name for name, row in SCHEDULERS.items() if row[0] == config["_class_name"]]
    algorithm = config.get("algorithm_type")
    by_algorithm = (n for n in found if SCHEDULERS[n][1].get("algorithm_type") == algorithm)
    return next(by_algorithm, found[0])
