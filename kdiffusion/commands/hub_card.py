"""The README.md of a model on the Hugging Face Hub, and of its Space: metadata, then what is known.

The metadata are YAML, of which JSON's strings are a part, so no library is needed to write them.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kdiffusion.artifacts import hub
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.evaluation.report import ROWS, table

LIBRARY = "kdiffusion"
TASK = "unconditional-image-generation"  # the Hub has no task for images by class
TAGS = ("diffusion", "ddpm", "image-generation")
UNKNOWN_NAME = "OWNER/NAME"  # in the text, until it is known
# What data sets are called here ► there. https://huggingface.co/datasets/NAME
DATASETS = {
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
}
MOST_CLASSES = 20  # that the text names
# What each file is, by its name in the folder.
FILES = {
    "onnx/model.onnx": "the network in float32",
    "onnx/model_fp16.onnx": "its weights stored in 16 bits, computed in float32",
    "onnx/model_int8.onnx": "its large kernels stored in 8 bits, computed in float32",
    "model.keras": "the same as a Keras model, to go on training or to build on",
}
# The clean image by what the network predicts, where `a` is abar_t; as in diffusion/prediction.py.
CLEAN_IMAGE = {
    "epsilon": "(x - np.sqrt(1 - a) * prediction) / np.sqrt(a)",
    "x0": "prediction",
    "v": "np.sqrt(a) * x - np.sqrt(1 - a) * prediction",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What a user adds to what a file says of itself.

    Args:
        name: str, `owner/name` on the Hub; None while it isn't known.
        license: str. The Hub's identifier of a licence; None leaves it out.
        datasets: tuple of str, the data sets' names on the Hub; None for those of `DATASETS`.
        tags: tuple of str, beside ours.
        evaluation: dict of evaluation.json, or None.
        notes: str, Markdown to put below; None for nothing.
        space: bool. Whether a Space of the same name draws in the browser.
    """

    name: str | None = None
    license: str | None = None
    datasets: tuple[str, ...] | None = None
    tags: tuple[str, ...] = ()
    evaluation: dict | None = None
    notes: str | None = None
    space: bool = False


def metadata(card: DenoiserCard, facts: Facts, files: Sequence[str]) -> dict[str, Any]:
    """What the Hub files a model under.

    Args:
        card: DenoiserCard.
        facts: Facts.
        files: names of the networks' files, keys of `FILES`.

    Returns:
        dict of plain values.
    """
    datasets = facts.datasets
    if datasets is None:
        datasets = tuple(DATASETS[name] for name in (card.dataset,) if name in DATASETS)
    kinds = ["onnx", *(["keras"] if "model.keras" in files else [])]
    conditional = ["class-conditional"] if card.null_label > 1 else []
    found: dict[str, Any] = {"library_name": LIBRARY, "pipeline_tag": TASK}
    if facts.license is not None:
        found["license"] = facts.license
    if datasets:
        found["datasets"] = list(datasets)
    parent = None if card.parent is None else _on_hub(card.parent.name)
    if parent is not None:
        found["base_model"] = parent
    found["tags"] = list(dict.fromkeys([*TAGS, *conditional, *kinds, *facts.tags]))
    if facts.evaluation is not None:
        found["model-index"] = [_model_index(card, facts, datasets)]
    return found


def _on_hub(name):
    """`owner/name` of a parent that was read from the Hub; a file's name has no slash."""
    repository = "/".join(name.removeprefix(hub.SCHEME).split("@")[0].split("/")[:2])
    return repository if hub.REPOSITORY.fullmatch(repository) else None


def _model_index(card, facts, datasets):
    figures = facts.evaluation
    metrics = [
        {
            "type": key,
            "value": figures[key],
            "name": f"{title.lstrip('… ')} (features: {figures['features']})",
            "args": {"images": figures["images"]},
        }
        for key, (title, _, _) in ROWS.items()
        if figures.get(key) is not None and not title.startswith("…")
    ]
    data = figures["data"]
    return {
        "name": _short_name(card, facts),
        "results": [
            {
                "task": {"type": TASK, "name": "Image generation by class"},
                "dataset": {"name": data, "type": datasets[0] if datasets else data},
                "metrics": metrics,
            }
        ],
    }


def _short_name(card, facts):
    if facts.name:
        return facts.name.split("/")[1]
    is_one_word = card.preset == card.dataset  # as of the digits
    return card.dataset if is_one_word else f"{card.dataset}-{card.preset}"


def model_readme(
    card: DenoiserCard,
    facts: Facts,
    files: Mapping[str, int],
    gallery: str,
    left_out: Sequence[str] = (),
) -> str:
    """The text of a model's README.md.

    Args:
        card: DenoiserCard.
        facts: Facts.
        files: dict from each file, a key of `FILES`, to its bytes.
        gallery: str. What gallery.png shows.
        left_out: sentences about files that couldn't be made.

    Returns:
        str, Markdown with metadata.
    """
    sections = [
        _front(metadata(card, facts, tuple(files))),
        f"# {_title(card)}",
        "![Drawn images, a row for each class](gallery.png)",
        f"*{gallery}*",
        _summary(card),
        _use(card, facts, files),
        _files(files, left_out),
        _alone(card, files),
        _evaluation(facts.evaluation),
        _training(card, files),
        facts.notes and facts.notes.strip(),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _title(card):
    height, width, _ = card.image_shape
    return f"{card.dataset}, {height}x{width}: images out of noise"


def _summary(card):
    height, width, channels = card.image_shape
    colour = "grey" if channels == 1 else "colour"
    names = card.class_names
    if len(names) == 1:
        classes = "It has no classes"
    else:
        more = f" and {len(names) - MOST_CLASSES} more" if len(names) > MOST_CLASSES else ""
        listed = ", ".join(_escaped(name) for name in names[:MOST_CLASSES])
        classes = f"It draws {len(names)} classes: {listed}{more}"
    return (
        f"A denoising diffusion model (Ho et al. 2020) of {height}x{width} {colour} images. "
        f"{classes}. It predicts `{card.prediction_type}` on a noise schedule of "
        f"{len(card.alphas_cumprod)} timesteps. Recommended: {card.steps} steps of "
        f"`{card.sampler}`, guidance strength {card.guidance_strength:g} (the w of Ho & Salimans "
        f"2022; libraries that write a scale mean 1 + w){_where_guided(card)}. "
        "Each ONNX file says all this in its metadata, so nothing has to be remembered beside it."
    )


def _where_guided(card):
    if card.guidance_interval is None:
        return ""
    low, high = card.guidance_interval
    return f" at noise levels from {low:g} to {high:g}"


def _escaped(text):
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def _word(facts):
    return f"{hub.SCHEME}{facts.name or UNKNOWN_NAME}"


def _use(card, facts, files):
    word, numbers = _word(facts), list(range(min(2, len(card.class_names))))
    shape = [len(numbers), *card.image_shape]
    needs = (
        "With kdiffusion and `huggingface_hub`; it needs neither TensorFlow nor PyTorch. The file "
        "is downloaded once, and refused if it is damaged."
    )
    if "onnx/model.onnx" not in files:
        needs += f" `{word}` is `{next(iter(files))}` here."
    python = f"""from kdiffusion import load_denoiser, sample, to_uint8

denoiser = load_denoiser("{word}")  # or "{word}@REVISION"
images = to_uint8(sample(denoiser, labels={numbers}, seeds={numbers}))  # {shape}"""
    shell = f"kdiffusion sample {word} --out samples.png"
    lines = ["## Draw", needs, f"```sh\n{shell}\n```", f"```python\n{python}\n```"]
    if facts.space and facts.name:
        page = f"https://huggingface.co/spaces/{facts.name}"
        lines.append(f"[A page]({page}) draws in your browser.")
    return "\n\n".join(lines)


def _files(files, left_out):
    rows = [f"| `{name}` | {size / 1e6:.1f} MB | {FILES[name]} |" for name, size in files.items()]
    table = "\n".join(["| file | size | what it is |", "|---|---|---|", *rows])
    text = "## Files\n\n" + table
    if left_out:
        text += "\n\n" + " ".join(left_out)
    if len(files) > 1:
        text += (
            "\n\nThe same seed draws nearly the same image from each; the fewer the bits, the "
            "less so."
        )
    return text


def _alone(card, files):
    """How to draw without kdiffusion: the contract of the graph, and the loop."""
    count = min(10, len(card.class_names))
    steps = min(50, len(card.alphas_cumprod))
    code = f"""import json

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("{next(iter(files))}")
card = json.loads(session.get_modelmeta().custom_metadata_map["kdiffusion.card"])
abar = np.array(card["alphas_cumprod"])
labels = np.arange({count}, dtype=np.int32)  # places in card["class_names"]
x = np.random.default_rng(0).standard_normal((len(labels), *card["image_shape"]))
steps = np.linspace(len(abar) - 1, 0, {steps}).round().astype(np.int32)
for i, t in enumerate(steps):
    inputs = {{
        "noisy_image": x.astype(np.float32),
        "timestep": np.full(len(labels), t),
        "label": labels,
    }}
    prediction = session.run(["prediction"], inputs)[0]
    a, b = abar[t], abar[steps[i + 1]] if i + 1 < len(steps) else 1.0
    clean = np.clip({CLEAN_IMAGE[card.prediction_type]}, -1, 1)
    noise = (x - np.sqrt(a) * clean) / np.sqrt(1 - a)
    x = np.sqrt(b) * clean + np.sqrt(1 - b) * noise
pixels = ((np.concatenate(list(x), axis=1) + 1) * 127.5).round().astype(np.uint8)
Image.fromarray(pixels.squeeze()).save("samples.png")"""
    null = card.null_label
    return (
        "## Draw without kdiffusion\n\n"
        "The graph takes `noisy_image` (float32 [B, H, W, C], in [-1, 1] once it is clean), "
        f"`timestep` (int32 [B], {len(card.alphas_cumprod) - 1} is nearly pure noise) and `label` "
        f"(int32 [B]; {null} is no class, for guidance), and gives `prediction`. DDIM without "
        f"guidance is\n\n```python\n{code}\n```"
    )


def _evaluation(figures):
    if figures is None:
        return None
    sampler = figures["sampler"]
    how = ", ".join(
        f"{name.replace('_', ' ')} {_shown(sampler[name])}"
        for name in ("sampler", "steps", "guidance_strength", "guidance_interval")
        if sampler.get(name) is not None
    )
    return (
        "## Evaluation\n\n"
        f"`kdiffusion evaluate`: {figures['images']:,} drawn images{f' ({how})' if how else ''} "
        f"against {_escaped(figures['data'])}, by features of {_escaped(figures['features'])}. A "
        "Fréchet distance on other features than Inception's is no FID, and compares with no "
        "number on other features. All figures are in `evaluation.json`.\n\n"
        f"```text\n{table(figures)}\n```"
    )


def _shown(value):
    return " to ".join(map(str, value)) if isinstance(value, list) else str(value)


def _training(card, files):
    said = [f"Trained on {_escaped(card.dataset)} by the recipe `{card.preset}`"]
    if card.images_seen:
        said[0] += f", on {card.images_seen:,} images counted with repetition"
    if card.ema_decay:
        said.append(f"The weights are their average (decay {card.ema_decay:g})")
    if card.parent is not None:
        said.append(f"It started from `{card.parent.name}` (SHA-256 `{card.parent.sha256}`)")
    if card.data_split is not None:
        split = card.data_split
        said.append(
            f"The held-out images are those of seed {split.seed}, by kdiffusion.load_dataset with "
            f"validation_fraction={split.validation_fraction:g}"
        )
    text = f"## Training\n\n{'. '.join(said)}."
    if "model.keras" in files:
        text += (
            "\n\n```python\n"
            "import keras\n"
            "import kdiffusion.networks.unet, kdiffusion.networks.unet2d  # the classes\n\n"
            'network = keras.saving.load_model("model.keras")\n'
            "```"
        )
    return text


def space_readme(card: DenoiserCard, facts: Facts) -> str:
    """The text of a static Space's README.md: the Hub reads from it what to serve.

    Args:
        card: DenoiserCard.
        facts: Facts.
    """
    found: dict[str, Any] = {
        "title": f"Images out of noise: {card.dataset}",
        "emoji": "🎲",
        "colorFrom": "gray",
        "colorTo": "blue",
        "sdk": "static",
        "app_file": "index.html",
        "pinned": False,
        "short_description": "A diffusion model draws in your browser",  # 60 characters at most
    }
    if facts.license is not None:
        found["license"] = facts.license
    if facts.name is not None:
        found["models"] = [facts.name]
    of = f" of [{facts.name}](https://huggingface.co/{facts.name})" if facts.name else ""
    return (
        f"{_front(found)}\n\nThe network{of} draws in the reader's browser, by WebGPU or "
        "WebAssembly. Nothing is sent anywhere.\n"
    )


def _front(found):
    return f"---\n{yaml(found)}\n---"


def yaml(value: Any, indent: int = 0) -> str:
    """Plain values as YAML, block by block; what isn't a plain word is written as JSON.

    Args:
        value: dict or list with something in it, of these, str, numbers, bool.
        indent: int. Spaces before each line.
    """
    space = " " * indent
    if isinstance(value, dict):
        return "\n".join(
            f"{space}{key}:\n{yaml(each, indent + 2)}" if isinstance(each, (dict, list))
            else f"{space}{key}: {_scalar(each)}"
            for key, each in value.items()
        )  # fmt: skip
    return "\n".join(
        f"{space}- {yaml(each, indent + 2).lstrip()}" if isinstance(each, (dict, list))
        else f"{space}- {_scalar(each)}"
        for each in value
    )  # fmt: skip


def _scalar(value):
    words = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w./-]*( [\w./-]+)*", value, re.A)
    if words and value.lower() not in ("true", "false", "yes", "no", "on", "off", "null", "y", "n"):
        return value
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
