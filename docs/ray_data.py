"""Samples a large set as a Ray Data job, into Parquet files.

    pip install "ray[data]"
    python docs/ray_data.py digits --seeds 0:50000 --out /shared/images --workers 8 --gpus 1

Without RAY_ADDRESS, Ray starts on this machine alone. All nodes need kdiffusion and see --out. Ray
samples again what a lost worker had. A job that ends with an error leaves files in --out: remove
them.
"""

from typing import Annotated

import ray
import tyro

from kdiffusion import load_denoiser, sample, to_uint8
from kdiffusion.commands.inputs import labels_from_text
from kdiffusion.commands.seed_files import files_of, labels_of_seeds
from kdiffusion.images import png_bytes
from kdiffusion.parts.many_images import seeds_from_text


class Sampler:
    """A worker: opens the exported file once, then samples one block of seeds after another."""

    def __init__(self, artifact, labels, options):
        self.denoiser = load_denoiser(artifact)
        self.labels = labels_from_text(labels, self.denoiser.card.class_names)
        self.options = options

    def __call__(self, blocks):
        """Rows of `seed`, `label`, `image` (PNG) and `node`, Ray's id of where it was sampled."""
        ends = zip(blocks["first"], blocks["end"], strict=True)
        seeds = [seed for first, end in ends for seed in range(int(first), int(end))]
        labels = labels_of_seeds(self.labels, seeds)
        images = to_uint8(sample(self.denoiser, labels, seeds, progress=False, **self.options))
        node = ray.get_runtime_context().get_node_id()
        return {
            "seed": seeds,
            "label": labels,
            "image": [png_bytes(image) for image in images],
            "node": [node] * len(seeds),
        }


def main(
    artifact: Annotated[str, tyro.conf.Positional],
    seeds: str,
    out: str,
    workers: int = 2,
    gpus: float = 0,
    labels: tuple[str, ...] | None = None,
    steps: int | None = None,
    images_per_block: int = 1000,
):
    """Samples one image for each seed; seed s has the label number s modulo the number of labels.

    Args:
        artifact: an exported file, seen by all nodes; or a released model.
        seeds: FIRST:END, such as 0:50000.
        out: folder for the Parquet files.
        workers: that sample at a time.
        gpus: for each worker; may be a part of one.
        labels: `all` (the default), `none` (of no class), class names or label numbers.
        steps: from noise to image; as recommended if not given.
        images_per_block: what Ray hands out, and samples again when a worker is lost.
    """
    ranges = files_of(seeds_from_text(seeds), images_per_block)
    blocks = [{"first": each.start, "end": each.stop} for each in ranges]
    sampled = ray.data.from_items(blocks, override_num_blocks=len(blocks)).map_batches(
        Sampler,
        fn_constructor_args=(artifact, labels, {"steps": steps}),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        num_gpus=gpus,
    )
    # The workers may have every core: what else is to be done must not wait for one.
    sampled.write_parquet(out, ray_remote_args={"num_cpus": 0})


if __name__ == "__main__":
    tyro.cli(main)
