"""Our FID, KID, precision and recall against torch-fidelity's, on the same images.

    pip install -r benchmarks/requirements-fidelity.txt && python -m benchmarks.fidelity

The network is Inception v3 by the steps of `inception_onnx.py`. Its weights are random, as the
published ones are not to be had everywhere; the arithmetic is the same. Both sides begin with uint8
images: torch-fidelity runs the torch module, ours its ONNX file in ONNX Runtime.
"""

import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torch_fidelity
import tyro
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from benchmarks.inception_onnx import LAYER, Pooled, write_onnx
from kdiffusion.parts.evaluation.distances import (
    frechet_distance,
    gaussian_of,
    kernel_distance,
    precision_and_recall,
)
from kdiffusion.parts.evaluation.features import Reading, make_reader

SUBSET_SIZE = 100  # of the kernel distance
MEASURES = {  # title ► torch-fidelity's key
    "Fréchet distance": "frechet_inception_distance",
    "kernel distance": "kernel_inception_distance_mean",
    "kernel distance, s.d.": "kernel_inception_distance_std",
    "precision": "precision",
    "recall": "recall",
}


def image_sets(count):
    """Two sets of soft coloured noise, uint8 `[N, 32, 32, 3]`, the second with more contrast."""
    rng = np.random.default_rng(0)
    for contrast in (1.0, 1.1):
        coarse = rng.normal(0, 40 * contrast, (count, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
        images = 128 + coarse + rng.normal(0, 15, coarse.shape)
        yield np.clip(np.rint(images), 0, 255).astype(np.uint8)


class Images(torch.utils.data.TensorDataset):
    """Images `[N, H, W, C]` as torch-fidelity takes them."""

    def __init__(self, images):
        super().__init__(torch.tensor(images.transpose(0, 3, 1, 2)))

    def __getitem__(self, index):
        return super().__getitem__(index)[0]


def theirs(drawn, real, weights):
    """What torch-fidelity measures, in the order of `MEASURES`."""
    found = torch_fidelity.calculate_metrics(
        input1=Images(drawn), input2=Images(real), cuda=False, cache=False, verbose=False,
        fid=True, kid=True, prc=True, kid_subset_size=SUBSET_SIZE, rng_seed=0,
        feature_extractor="inception-v3-compat", feature_extractor_weights_path=str(weights),
        feature_layer_fid=LAYER, feature_layer_kid=LAYER, feature_layer_prc=LAYER,
    )  # fmt: skip
    return [found[name] for name in MEASURES.values()]


def ours(drawn, real, network):
    """The same by this code."""
    reader = make_reader(Reading(network), None)
    (drawn, _), (real, _) = reader(drawn), reader(real)
    estimates = kernel_distance(drawn, real, 100, SUBSET_SIZE, seed=0)
    distance = frechet_distance(gaussian_of(drawn), gaussian_of(real))
    return [distance, estimates.mean(), estimates.std(), *precision_and_recall(real, drawn)]


def write_random_weights(path):
    """Weights of the right names and shapes, drawn so that signals neither fade nor explode."""
    torch.save({}, path)  # a network must be there before its weights can be drawn
    torch.manual_seed(0)
    with mock.patch.object(FeatureExtractorInceptionV3, "load_state_dict"):
        network = Pooled(path).network
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), path)


def main(images: int = 120):
    """Compares them, and prints a table in Markdown.

    Args:
        images: in each set; 100 at least.
    """
    drawn, real = image_sets(images)
    with tempfile.TemporaryDirectory() as folder:
        weights, network = Path(folder, "weights.pth"), Path(folder, "network.onnx")
        write_random_weights(weights)
        write_onnx(Pooled(weights), network, (3, 32, 32))
        expected, found = theirs(drawn, real, weights), ours(drawn, real, network)
    print("| measure | torch-fidelity | here | relative difference |\n|---|---|---|---|")
    for name, their_value, our_value in zip(MEASURES, expected, found, strict=True):
        difference = abs(our_value / their_value - 1)
        print(f"| {name} | {their_value:.7g} | {our_value:.7g} | {difference:.0e} |")


if __name__ == "__main__":
    tyro.cli(main)
