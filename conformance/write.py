"""Writes the vectors by which a port of the sampling loop checks itself.

docs/spec.md says what they hold. Run `python -m conformance.write` when they get another case, or a
released model is replaced. The tests hold the loops in Python and JavaScript to them.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kdiffusion.artifacts import load_denoiser
from kdiffusion.artifacts.integrity import SELF_CHECK_KEY, example_inputs
from kdiffusion.artifacts.onnx_loader import CARD_KEY, open_session
from kdiffusion.atomic_files import sha256_of
from kdiffusion.diffusion.card import ConditionImage, DenoiserCard, Number
from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.prediction import from_x0_and_eps
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling import sample, sampling_steps
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.diffusion.seeded_noise import ImageNoise
from kdiffusion.diffusion.spacing import SPACINGS, timestep_pairs
from kdiffusion.images import to_uint8

FOLDER = Path(__file__).parent / "v1"
WIDE = FOLDER / "wide.onnx"
SEEDS = (0, 1, 7, 2**32, 2**64 - 1)
STEPS, LABEL, SEED = 5, 2, 2**60 + 1
VARIANCE = 1.5
Case = dict[str, Any]


class AnalyticDenoiser:
    """The optimal denoiser of Gaussian pixels whose mean depends on the conditions.

    It keeps its looks. Their variance takes some pixels out of range, so that clipping shows.
    """

    def __init__(self, card: DenoiserCard):
        self.card = card
        self.looks: list[Case] = []

    def __call__(
        self, images: np.ndarray, timesteps: np.ndarray, labels: np.ndarray, **more: np.ndarray
    ) -> np.ndarray:
        x = images.astype(np.float64)
        alpha_bar = self.card.schedule.alpha_bar(timesteps)[:, None, None, None]
        mean = np.where(labels == self.card.null_label, 0.0, (labels - 1) / 2)[:, None, None, None]
        if "numbers" in more:
            mean = mean + np.nan_to_num(more["numbers"]).sum(axis=1)[:, None, None, None]
        if "image" in more:
            mean = mean + more["image"] / 2
        gain = np.sqrt(alpha_bar) * VARIANCE / (alpha_bar * VARIANCE + 1 - alpha_bar)
        x0 = mean + gain * (x - np.sqrt(alpha_bar) * mean)
        eps = (x - np.sqrt(alpha_bar) * x0) / np.sqrt(1 - alpha_bar)
        prediction = from_x0_and_eps(x0, eps, alpha_bar, self.card.prediction_type)
        prediction = prediction.astype(np.float32)
        for i, (t, label) in enumerate(zip(timesteps, labels, strict=True)):
            # Float32 numbers in full: those in short differ by what 1 / alpha enlarges.
            exact = prediction[i].ravel().astype(np.float64).tolist()
            look = {"t": int(t), "label": int(label), **conditions_of_look(more, i)}
            self.looks.append({**look, "x": _numbers(images[i]), "prediction": exact})
        return prediction


def conditions_of_look(more: dict[str, np.ndarray], i: int) -> Case:
    """The i-th conditions beside the label, as a trace has them: None for no numbers."""
    look = {name: values[i].ravel().tolist() for name, values in more.items()}
    return {name: None if np.isnan(values).any() else values for name, values in look.items()}


def make_card(schedule: NoiseSchedule, **fields: Any) -> DenoiserCard:
    """A card of grey images of five pixels and three classes."""
    facts = {
        "image_shape": (1, 5, 1), "class_names": ("cat", "dog", "ship"), "null_label": 3,
        "prediction_type": "epsilon", "alphas_cumprod": tuple(schedule.alphas_cumprod.tolist()),
        "dataset": "toy", "preset": "toy", "images_seen": 0, "ema_decay": 0.0, "sampler": "ddim",
        "steps": STEPS, "guidance_strength": 1.3,
    }  # fmt: skip
    return DenoiserCard(**{**facts, **fields})


def noise() -> Iterator[Case]:
    """Words of Philox, and two draws of an image, of an even and an odd size."""
    for seed in SEEDS:
        words = np.random.Philox(key=np.array([seed, 0], np.uint64)).random_raw(6)
        for shape in ((2, 3, 1), (1, 5, 1)):
            stream = ImageNoise([seed], shape)
            draws = [_numbers(stream.normal()) for _ in range(2)]
            words_of = [f"{word:016x}" for word in words.tolist()]
            yield {"seed": str(seed), "image_shape": shape, "words": words_of, "draws": draws}


def timesteps() -> Iterator[Case]:
    """Which timesteps are visited: by the noise levels in the spacing "karras" alone."""
    long, short = make_schedule("linear", 1000), make_schedule("cosine", 21)
    levels = {"alphas_cumprod": short.alphas_cumprod.tolist()}
    cases = [
        (spacing, schedule, steps, facts)
        for spacing in SPACINGS
        for schedule, facts in ((short, levels), *([] if spacing == "karras" else [(long, {})]))
        for steps in (1, 3, 16, 20)
    ]
    cases.append(("trailing", long, 240, {}))  # where the order of the sums shows
    halves = make_schedule("linear", 10)  # where the numbers to round are halves
    cases += [("linspace", halves, 7, {}), ("quadratic", halves, 7, {})]
    wide = make_schedule("cosine", 1000)  # where sigma spans more than the spacing follows
    cases.append(("karras", wide, 20, {"alphas_cumprod": wide.alphas_cumprod.tolist()}))
    for spacing, schedule, steps, facts in cases:
        visited = [t for t, _ in timestep_pairs(schedule, steps, spacing)]
        case = {"spacing": spacing, "steps": steps, "timesteps": visited}
        yield {"T": schedule.num_timesteps, **case, **facts}


def cards_of_traces() -> Iterator[tuple[str, DenoiserCard]]:
    """Every sampler, under three targets and schedules."""
    smooth, ends = make_schedule("cosine", 31), make_schedule("linear", 50, zero_terminal_snr=True)
    sigma = smooth.noise_levels[[t for t, _ in timestep_pairs(smooth, STEPS)]]
    for sampler in SAMPLERS:
        of_smooth, of_ends = ({}, {}) if not SAMPLERS[sampler].fitted else map(_fit, (smooth, ends))
        guided = {"guidance_interval": (sigma[3], sigma[1]), "prediction_type": "v", **of_smooth}
        of_ends = {"prediction_type": "x0", **of_ends}
        yield f"{sampler}, epsilon", make_card(smooth, sampler=sampler, **of_smooth)
        name = f"{sampler}, v, guidance in an interval whose ends are visited"
        yield name, make_card(smooth, sampler=sampler, **guided)
        yield f"{sampler}, x0, from pure noise", make_card(ends, sampler=sampler, **of_ends)
    yield "no guidance", make_card(smooth, guidance_strength=0.0)
    yield "no clipping, leading", make_card(smooth, sampler="unipc", clip=False, spacing="leading")
    yield "fixed_large", make_card(smooth, sampler="ddpm", variance="fixed_large")
    unclipped = {"prediction_type": "v", "clip": False, **_fit(smooth)}
    yield "fitted, no clipping", make_card(smooth, sampler="fitted", **unclipped)
    yield "named timesteps", make_card(smooth, sampler="unipc", timesteps=(30, 20, 9, 4, 0))
    its_own = {"sampler": "dpmpp_2m_sde", "variance": "fixed_large"}
    yield "dpmpp_2m_sde, whose noise no variance changes", make_card(smooth, **its_own)
    yield "a guidance strength below 0", make_card(smooth, guidance_strength=-0.5)
    of_ends = {"prediction_type": "v", "clip": False}
    yield "v, from pure noise, no clipping", make_card(ends, sampler="unipc", **of_ends)


def _fit(schedule):
    """Timesteps, and coefficients that are not 0 where there is history for them."""
    rows = [[0.1 - 0.01 * k, -0.2, 0.1 * (k > 0), 0.05 * (k > 1)] for k in range(STEPS)]
    return {"timesteps": [t for t, _ in timestep_pairs(schedule, STEPS)], "coefficients": rows}


def traces() -> Iterator[Case]:
    """The recommended image of an analytic network, step by step."""
    for name, card in cards_of_traces():
        yield _trace(name, card, LABEL)
    plain = make_card(make_schedule("cosine", 31))
    yield _trace("the null label", plain, plain.null_label)
    case = _trace("an unknown sampler, for which ddim stands", plain, LABEL)
    yield {**case, "card": {**case["card"], "sampler": "of_the_future"}}
    case = _trace("fields of later versions left out", plain, LABEL)
    yield {**case, "card": _without_optional_fields(case["card"])}


def conditional_traces() -> Iterator[Case]:
    """The same of networks that are conditioned on numbers, on an image, on both."""
    schedule = make_schedule("cosine", 31)
    levels = schedule.noise_levels[[t for t, _ in timestep_pairs(schedule, STEPS)]]
    described = (
        Number(name="weight", mean=0.2, std=0.1, low=-1, high=1),
        Number(name="slant", mean=0, std=1, low=-1, high=1, unit="degrees"),
    )
    numbers: Case = {"numbers": {"weight": 0.25, "slant": -0.5}}
    image: Case = {"image": [0.5, -0.25, 0.0, 1.0, -1.0]}
    unlabelled: Case = {"class_names": (), "null_label": 0}
    of_image = {"image": ConditionImage(channels=1, meaning="a drawing")}
    for name, fields, label, asked in (
        ("numbers", {"sampler": "unipc", "numbers": described}, LABEL, numbers),
        ("numbers, no class", {**unlabelled, "numbers": described}, 0, numbers),
        ("an image, guided in an interval", {
            "sampler": "dpmpp_2m", "guidance_interval": (levels[3], levels[1]), **of_image,
        }, LABEL, image),
        ("numbers and an image, no class", {
            "sampler": "unipc", "prediction_type": "v", "numbers": described, **of_image,
            **unlabelled,
        }, 0, {**numbers, **image}),
    ):  # fmt: skip
        yield _trace(name, make_card(schedule, **fields), label, asked)


def _trace(name, card, label, asked=None):
    asked = asked or {}
    denoiser, steps = AnalyticDenoiser(card), []
    image = np.reshape(asked["image"], (1, 5, 1)) if "image" in asked else None
    given = {"numbers": asked.get("numbers"), "images": image}
    for step in sampling_steps(denoiser, [label], [SEED], **given):
        looks, denoiser.looks = denoiser.looks, []
        x0, x = _numbers(step.x0), _numbers(step.x)
        steps.append({"t": looks[0]["t"], "s": step.t, "looks": looks, "x0": x0, "x": x})
    return {
        "name": name, "card": json.loads(card.to_json()), "label": label, **asked,
        "seed": str(SEED), "steps": steps,
    }  # fmt: skip


def pixels() -> Iterator[Case]:
    """Numbers within [-1, 1] and beyond, and their levels: ties, and what lies beside them."""
    ties = ((np.arange(0, 256, 15) + 0.5) / 127.5 - 1).astype(np.float32)
    around = [np.nextafter(ties, np.float32(side)) for side in (-2, 2)]
    x = np.sort(np.concatenate([ties, *around, np.float32([-1.5, -1, 0, 1, 1.5])]))
    yield {"x": _numbers(x), "pixels": to_uint8(x).tolist()}


def cards() -> Iterator[Case]:
    """Cards that a reader must accept, and some that it must refuse."""
    card = json.loads(make_card(make_schedule("cosine", 8)).to_json())
    yield {"name": "of this version", "accepted": True, "card": card}
    newer = {**card, "format_minor_version": 99, "of_the_future": [1]}
    yield {"name": "of a newer minor version, with a field more", "accepted": True, "card": newer}
    oldest = _without_optional_fields(card)
    yield {"name": "of minor version 0", "accepted": True, "card": oldest}
    unknown = {**card, "sampler": "of_the_future"}
    yield {"name": "an unknown sampler, for which ddim stands", "accepted": True, "card": unknown}
    for name, change in {
        "a newer version": {"format_version": 2},
        "an unknown prediction type": {"prediction_type": "score"},
        "a null label that is a class": {"null_label": 2},
    }.items():
        yield {"name": name, "accepted": False, "card": {**card, **change}}


def _without_optional_fields(card):
    optional = {
        field.name for field in dataclasses.fields(DenoiserCard)
        if field.default is not dataclasses.MISSING
    } | {"format_minor_version"}  # fmt: skip
    return {name: card[name] for name in card if name not in optional - {"format_version"}}


def predictions() -> Iterator[Case]:
    """The golden predictions of a released file, with their inputs."""
    file = load_denoiser("digits")
    metadata = open_session(file.path).get_modelmeta().custom_metadata_map
    golden = json.loads(metadata[SELF_CHECK_KEY])["prediction"]
    inputs = {name: array.ravel() for name, array in example_inputs(file.card).items()}
    yield {
        "file": _file(file.path), "noisy_image": _numbers(inputs["noisy_image"]),
        "timestep": inputs["timestep"].tolist(), "label": inputs["label"].tolist(),
        "stride": -(-inputs["noisy_image"].size // 64), "prediction": golden,
    }  # fmt: skip


def images() -> Iterator[Case]:
    """The recommended images of released files, and of one whose images aren't square."""
    write_wide_file()
    of_digits = ("digits", 3, 0), ("digits", 8, 2**64 - 1)
    of_colours = ("cifar10", 8, 7), ("cifar10_few_steps", 1, 2), (WIDE, 1, 3)
    for name, label, seed in (*of_digits, *of_colours):
        file = load_denoiser(name)
        image = to_uint8(sample(file, [label], [seed], progress=False))
        yield {
            "file": _file(file.path), "label": label, "seed": str(seed),
            "image_shape": file.card.image_shape, "pixels": image.ravel().tolist(),
        }  # fmt: skip


def write_wide_file() -> None:
    """A file of images of 2x5 pixels: whoever takes the height for the width can't run it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    card = make_card(make_schedule("cosine", 31), image_shape=(2, 5, 3))
    shape = ["batch", *card.image_shape]
    kinds = {"noisy_image": (TensorProto.FLOAT, shape)}
    kinds |= {name: (TensorProto.INT32, ["batch"]) for name in ("timestep", "label")}
    places = np.float32(np.linspace(-1, 1, 30).reshape(card.image_shape))
    constants = {"half": np.float32(0.5), "places": places, "column": np.array([-1, 1, 1, 1])}
    nodes = [
        helper.make_node("Cast", ["label"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["number", "column"], ["numbers"]),
        helper.make_node("Mul", ["places", "numbers"], ["meant"]),
        helper.make_node("Sub", ["noisy_image", "meant"], ["difference"]),
        helper.make_node("Mul", ["difference", "half"], ["prediction"]),
    ]
    graph = helper.make_graph(
        nodes, "wide",
        [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    # timestep is an input of every file; this one makes nothing of it.
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.save(model, WIDE)


def _file(path):
    return {"path": "/".join(path.parts[-3:]), "sha256": sha256_of(path)}


def _numbers(array):
    """The shortest decimals that are the array's numbers, in float32 or float64."""
    return [float(str(number)) for number in np.ravel(array)]


def main() -> None:
    """Writes every file."""
    FOLDER.mkdir(exist_ok=True)
    for make in (noise, timesteps, traces, conditional_traces, pixels, cards, predictions, images):
        cases = ",\n".join(json.dumps(case) for case in make())
        (FOLDER / f"{make.__name__}.json").write_text(f"[\n{cases}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
