"""Quality against cost: every sampler over evaluations, and guidance over its strength.

    python -m benchmarks.sampling runs/digits/export/denoiser.onnx --name digits

It writes sampling_NAME.csv, .md and .png into docs/results; the plot needs matplotlib. Drawn images
stay in a folder, so that a stopped run goes on where it was.
"""

import csv
import dataclasses
import math
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from benchmarks.fitted_judge import fit_judge
from kdiffusion.artifacts import load_denoiser
from kdiffusion.commands.outputs import refuse_outputs
from kdiffusion.commands.seed_files import read_folder, sample_to_folder
from kdiffusion.data import load_dataset
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling import network_evaluations
from kdiffusion.evaluation.distances import frechet_distance, gaussian_of
from kdiffusion.evaluation.features import FEATURES
from kdiffusion.files import staged

MOST_JUDGED_IMAGES = 10_000  # to fit the judge to: its time grows with the square

# What guidance is compared as: name ► options.
EVERYWHERE = {"guidance_interval": (0.0, math.inf)}  # whatever the card recommends
GUIDANCE = {
    "everywhere": EVERYWHERE,
    "interval 0.2 .. 5": {"guidance_interval": (0.2, 5.0)},
    "rescale 0.7": {**EVERYWHERE, "guidance_rescale": 0.7},
    "dynamic threshold 0.95": {**EVERYWHERE, "dynamic_threshold": 0.95},
}
MEASURES = {
    "frechet_pixels": "Fréchet distance, pixels",
    "frechet_random_conv": "Fréchet distance, random filters",
    "share_as_asked": "share judged as asked",
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """One row of the table: what is drawn, and the curve that it is a point of."""

    sweep: str  # "sampler" or "guidance"
    curve: str
    options: dict

    @property
    def folder(self):
        chosen = (f"{name}={value}" for name, value in self.options.items())
        return "_".join(chosen).replace(" ", "")


def sampler_settings(evaluations):
    """Every sampler, without guidance, at (nearly) the same numbers of evaluations."""
    return [
        Setting("sampler", name, {"sampler": name, "steps": steps, "guidance_strength": 0.0})
        for name, sampler in SAMPLERS.items()
        for count in evaluations
        for steps in [(count + 1) // 2 if sampler.predictions_per_step == 2 else count]
    ]


def guidance_settings(strengths, sampler, steps):
    """Each way to guide at each strength."""
    base = {"sampler": sampler, "steps": steps}
    return [
        Setting("guidance", curve, {**base, "guidance_strength": strength, **options})
        for curve, options in GUIDANCE.items()
        for strength in strengths
    ]


class Measures:
    """The measures of `MEASURES`, fitted to the real images of a data set.

    Args:
        dataset: ImageDataset.
    """

    def __init__(self, dataset):
        self.features = {name: fit(dataset.images) for name, fit in FEATURES.items()}
        self.real = {
            name: gaussian_of(extract(dataset.images)) for name, extract in self.features.items()
        }
        few = slice(MOST_JUDGED_IMAGES)
        grey = dataset.image_shape[2] == 1
        # Layout alone tells digits apart; colour images need both.
        self.judged_by = "pixels" if grey else "pixels and random_conv"
        self._judge = fit_judge(dataset.images[few], dataset.labels[few], self._features_of_judge)
        self.validation = self.of([(dataset.validation_images, dataset.validation_labels, None)])
        self._dataset = dataset

    def of_real(self, count):
        """The measures of training images, all classes in turn as drawn, with replacement."""
        rng, data = np.random.default_rng(0), self._dataset
        of_class = [np.flatnonzero(data.labels == label) for label in range(data.num_classes)]
        chosen = [rng.choice(of_class[index % data.num_classes]) for index in range(count)]
        return self.of([(data.images[chosen], data.labels[chosen], None)])

    def _features_of_judge(self, images):
        names = self.judged_by.split(" and ")
        return np.concatenate([self.features[name](images) for name in names], axis=1)

    def of(self, files):
        """The measures of the images in `(images, labels, seeds)` of each file: a dict."""
        features = {name: [] for name in self.features}
        right, count = 0.0, 0
        for images, labels, _ in files:
            for name, extract in self.features.items():
                features[name].append(extract(images))
            right += self._judge(images, labels) * len(images)
            count += len(images)
        distances = {
            f"frechet_{name}": frechet_distance(gaussian_of(np.concatenate(each)), self.real[name])
            for name, each in features.items()
        }
        return {"images": count, **distances, "share_as_asked": right / count}


def measure(denoiser, settings, images, samples, batch_size, measures):
    """Draws and measures each setting; gives rows of the table (dicts), as they are done."""
    card = denoiser.card
    for number, setting in enumerate(settings, start=1):
        folder = samples / setting.folder
        print(f"{number}/{len(settings)} {setting.folder}", flush=True)
        sample_to_folder(
            denoiser, range(len(card.class_names)), range(images), folder, batch_size=batch_size,
            **setting.options,
        )  # fmt: skip
        row = {
            "sweep": setting.sweep,
            "curve": setting.curve,
            **{name: setting.options[name] for name in ("sampler", "steps", "guidance_strength")},
            "evaluations": network_evaluations(card, **setting.options),
            **measures.of(read_folder(folder)),
        }
        print("  " + ", ".join(f"{name} {row[name]:.4g}" for name in MEASURES), flush=True)
        yield row


def table(rows):
    """Rows as a Markdown table."""
    names = [name for name in rows[0] if name != "sweep"]
    if all(row["curve"] == row["sampler"] for row in rows):
        names.remove("curve")
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    for row in rows:
        cells = [f"{row[name]:.4g}" if name in MEASURES else str(row[name]) for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def report(card, rows, measures, command):
    """What was measured and how, and the tables, as Markdown."""
    judged, real = measures.validation, measures.of_real(rows[0]["images"])
    sweeps = {
        sweep: table([row for row in rows if row["sweep"] == sweep])
        for sweep in ("sampler", "guidance")
    }
    judge = f"{100 * judged['share_as_asked']:.1f} %"
    return f"""# Sampling: quality against cost, {card.dataset}

Preset `{card.preset}`, {card.images_seen:,} images seen, target `{card.prediction_type}`.
Every setting draws the same seeds, {rows[0]["images"]} images, all classes in turn.
The numbers alone are in the CSV file beside this one. Made by

    {command}

![Quality against evaluations and against guidance strength](NAME.png)

- `frechet_pixels`: Fréchet distance to the training images on the principal components (at most 32)
  of the images averaged down to at most 8 pixels a side, in squared units of -1 .. 1.
- `frechet_random_conv`: the same on responses of two layers of random filters, in units of the
  training images' variance. Neither is a FID: no Inception network is involved, and neither
  compares with numbers elsewhere. Smaller is better, and with fewer images it comes out larger.
- `share_as_asked`: of the images, those that a support vector machine on `{measures.judged_by}`
  takes for the class they were asked to be. Of the {judged["images"]} real validation images it
  gets {judge} right. A high share is not diversity: guidance raises it and makes images alike.
- `evaluations`: of the network, for one image; a guided step costs two.

As many training images, drawn with replacement, all classes in turn, are at
{real["frechet_pixels"]:.4g} (pixels) and {real["frechet_random_conv"]:.4g} (random filters).
Fresh images would be further away: these are compared with the images that they were drawn from.

## Every sampler, without guidance

{sweeps["sampler"]}

## Guidance

{sweeps["guidance"]}
"""


def plot(rows, measures, path):
    """One row of panels a sweep, one column a measure."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    real = measures.of_real(rows[0]["images"])
    real["share_as_asked"] = measures.validation["share_as_asked"]  # the judge knows the others
    figure, panels = plt.subplots(2, 3, figsize=(15, 8.5), layout="constrained")
    for sweep, x, axes in zip(
        ("sampler", "guidance"), ("evaluations", "guidance_strength"), panels, strict=True
    ):
        chosen = [row for row in rows if row["sweep"] == sweep]
        for (name, title), panel in zip(MEASURES.items(), axes, strict=True):
            for curve in dict.fromkeys(row["curve"] for row in chosen):
                points = [row for row in chosen if row["curve"] == curve]
                panel.plot(
                    [row[x] for row in points], [row[name] for row in points], "o-",
                    markersize=4, label=curve,
                )  # fmt: skip
            panel.axhline(real[name], color="grey", linestyle=":", label="real")
            panel.set(xlabel=x.replace("_", " ").replace("strength", "strength w"), title=title)
            if name != "share_as_asked":
                panel.set_yscale("log")
                panel.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
                panel.yaxis.set_major_formatter("{x:.3g}")
                panel.yaxis.set_minor_formatter("{x:.2g}")
            if sweep == "sampler":
                panel.set_xscale("log")
                ticks = sorted({row[x] for row in chosen if row["curve"] == "ddim"})
                panel.set_xticks(ticks, [str(tick) for tick in ticks])
                panel.xaxis.minorticks_off()
            panel.grid(alpha=0.3)
        axes[0].legend(fontsize=8)
    figure.savefig(path, format="png", dpi=100)


def main(
    artifact: Annotated[Path, tyro.conf.Positional],
    name: str,
    images: int = 1000,
    evaluations: tuple[int, ...] = (5, 10, 20, 50),
    strengths: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0),
    guided_sampler: str | None = None,
    guided_steps: int | None = None,
    batch_size: int = 250,
    samples: Path | None = None,
    out: Path = Path("docs/results"),
    overwrite: bool = False,
):
    """Measures every sampler and guidance on an exported file, into a table and a plot.

    Args:
        artifact: denoiser.onnx, a saved_model folder, or another exported format.
        name: of the results: sampling_NAME.csv, .md and .png.
        images: drawn for each setting.
        evaluations: of the network an image, at which samplers are compared.
        strengths: of guidance, w.
        guided_sampler: for the comparison of guidance; the recommended one if not given.
        guided_steps: likewise.
        batch_size: images that are drawn at a time.
        samples: folder for the drawn images; beside the artifact if not given.
        out: folder for the results.
        overwrite: replace earlier results.
    """
    paths = {kind: out / f"sampling_{name}.{kind}" for kind in ("csv", "md", "png")}
    refuse_outputs(*paths.values(), overwrite=overwrite)
    denoiser = load_denoiser(artifact)
    card = denoiser.card
    guided_sampler, guided_steps = guided_sampler or card.sampler, guided_steps or card.steps
    settings = [
        *sampler_settings(evaluations),
        *guidance_settings(strengths, guided_sampler, guided_steps),
    ]
    samples = samples or artifact.parent / "benchmark_samples"
    start = time.perf_counter()
    measures = Measures(load_dataset(card.dataset))
    rows = list(measure(denoiser, settings, images, samples, batch_size, measures))
    command = (
        f"python -m benchmarks.sampling ARTIFACT --name {name} --images {images} "
        f"--evaluations {' '.join(map(str, evaluations))} "
        f"--strengths {' '.join(f'{strength:g}' for strength in strengths)} "
        f"--guided-sampler {guided_sampler} --guided-steps {guided_steps}"
    )
    text = report(card, rows, measures, command).replace("NAME.png", paths["png"].name)
    with staged(paths["csv"], overwrite) as file, open(file, "w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with staged(paths["md"], overwrite) as file:
        file.write_text(text, encoding="utf-8")
    with staged(paths["png"], overwrite) as file:
        plot(rows, measures, file)
    print(f"Done in {(time.perf_counter() - start) / 60:.1f} minutes: {paths['md']}")


if __name__ == "__main__":
    tyro.cli(main)
