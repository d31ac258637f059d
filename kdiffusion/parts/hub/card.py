"""README.md of a model on the Hub and of its Space: metadata for the Hub, then text for readers.

The text is card.md.
"""

import re
import string
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData, SpaceCard, SpaceCardData

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.networks import NETWORKS

from .publish import FILES, Facts

TEMPLATE = Path(__file__).with_name("card.md")
TASK = "unconditional-image-generation"  # the Hub has no task for images by class
# Our names of data sets ► the Hub's: https://huggingface.co/datasets/NAME
HUB_DATASETS = {
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
}
# Keys of evaluation.json that the model index lists. No distance is called FID: that depends on the
# features, which are named beside it.
METRICS = ("frechet_distance", "kernel_distance", "precision", "recall", "share_as_asked")


def model_readme(
    card: DenoiserCard, facts: Facts, files: Mapping[str, int], caption: str
) -> ModelCard:
    """README.md of a model.

    Args:
        card: DenoiserCard.
        facts: Facts.
        files: dict from the name of each of `FILES` that is there to its bytes.
        caption: str. What gallery.png shows.
    """
    meanings = dict(FILES.values())
    text = string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=facts.name,
        dataset=_escaped(card.dataset),
        size="{}x{}".format(*card.image_shape),
        caption=caption,
        classes=_classes(card),
        prediction_type=card.prediction_type,
        timesteps=len(card.alphas_cumprod),
        last_timestep=len(card.alphas_cumprod) - 1,
        null_label=card.null_label,
        steps=card.steps,
        sampler=card.sampler,
        guidance=_guidance(card),
        files=_table(
            ("file", "size", "what it is"),
            [(f"`{name}`", f"{size / 1e6:.1f} MB", meanings[name]) for name, size in files.items()],
        ),
        evaluation="" if facts.evaluation is None else _evaluation(facts.evaluation),
        training=_training(card, files),
        notes=facts.notes,
    )
    return ModelCard(f"---\n{_metadata(card, facts, files).to_yaml()}\n---\n\n{text.strip()}\n")


def _metadata(card, facts, files):
    dataset = HUB_DATASETS.get(card.dataset)
    tags = ["diffusion", "ddpm", "image-generation", "onnx"]
    tags += ["class-conditional"] if card.null_label > 1 else []
    tags += ["keras"] if "model.keras" in files else []
    results = {} if facts.evaluation is None else _results(facts, dataset)
    return ModelCardData(
        library_name="kdiffusion",
        pipeline_tag=TASK,
        license=facts.license,
        datasets=[dataset] if dataset else None,
        base_model=_parent_on_hub(card),
        tags=tags,
        **results,
    )


def _parent_on_hub(card):
    """`owner/name` of a parent that was read from the Hub."""
    match = card.parent and re.match(r"hf://([^/]+/[^/@]+)", card.parent.name)
    return match[1] if match else None


def _results(facts, dataset):
    figures = facts.evaluation
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=dataset or figures["data"],
            dataset_name=figures["data"],
            metric_type=key,
            metric_value=figures[key],
            metric_name=f"{_title(key)} (features: {figures['features']})",
            metric_args={"images": figures["images"]},
        )
        for key in METRICS
        if key in figures
    ]
    return {"model_name": facts.name.split("/")[-1], "eval_results": results}


def _title(key):
    return key.replace("_", " ").capitalize()


def _classes(card):
    names = card.class_names
    if len(names) < 2:
        return "It has no classes."
    listed = ", ".join(map(_escaped, names[:20])) + (", ..." if len(names) > 20 else "")
    return f"It samples {len(names)} classes: {listed}."


def _guidance(card):
    interval = card.guidance_interval
    where = "" if interval is None else " at noise levels from {:g} to {:g}".format(*interval)
    return f"{card.guidance_strength:g}{where}"


def _evaluation(figures):
    sampler = ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in figures["sampler"].items()
        if value is not None
    )
    rows = [(_title(key), f"{figures[key]:.4g}") for key in METRICS if key in figures]
    return (
        f"\n## Evaluation\n\n`kdiffusion evaluate`: {figures['images']:,} sampled images "
        f"({sampler}) against {_escaped(figures['data'])}, by features of "
        f"{_escaped(figures['features'])}. A Fréchet distance on other features than Inception's "
        "is not FID. All figures are in `evaluation.json`.\n\n"
        f"{_table(('measure', 'value'), rows)}\n"
    )


def _training(card, files):
    said = f"Trained on {_escaped(card.dataset)} with the preset `{card.preset}`"
    if card.images_seen:
        said += f", on {card.images_seen:,} images counted with repetition"
    if card.ema_decay:
        said += f". The weights are their average (decay {card.ema_decay:g})"
    if card.parent is not None:
        said += f". It started from `{card.parent.name}` (SHA-256 `{card.parent.sha256}`)"
    if card.data_split is not None:
        said += (
            f". The held-out images are those of seed {card.data_split.seed}, by "
            "kdiffusion.load_dataset with "
            f"validation_fraction={card.data_split.validation_fraction:g}, unless the data set has "
            "a test split of its own"
        )
    if "model.keras" not in files:
        return f"{said}."
    classes = ", ".join(where.partition(":")[0] for where in NETWORKS.values())
    return (
        f"{said}.\n\n```python\nimport keras\n"
        f"import {classes}  # the classes\n\n"
        'network = keras.saving.load_model("model.keras")\n```'
    )


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text):
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def space_readme(card: DenoiserCard, facts: Facts) -> SpaceCard:
    """README.md of a static Space, from which the Hub reads what to serve."""
    data = SpaceCardData(
        title=f"Images out of noise: {card.dataset}",
        emoji="🎲",
        colorFrom="gray",
        colorTo="blue",
        sdk="static",
        app_file="index.html",
        license=facts.license,
        models=[facts.name],
        short_description="A diffusion model samples in your browser",  # 60 characters at most
    )
    model = f"[{facts.name}](https://huggingface.co/{facts.name})"
    return SpaceCard(
        f"---\n{data.to_yaml()}\n---\n\nThe network of {model} samples in the reader's browser, "
        "by WebGPU or WebAssembly. Nothing is sent anywhere.\n"
    )
