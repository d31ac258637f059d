"""Our FID, KID, precision and recall against torch-fidelity's, on the same images and networks.

    pip install -r benchmarks/requirements-fidelity.txt && python -m benchmarks.fidelity

Two networks: a small one, and Inception v3 by the steps of `inception_onnx.py`. Their weights are
random, as the published ones are not to be had everywhere; the arithmetic is the same. Both sides
begin with uint8 images: torch-fidelity runs the torch module, ours its ONNX file in ONNX Runtime.
It ends with status 1 where a number differs by more than 1e-3 of itself.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch_fidelity
import tyro
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from benchmarks.inception_onnx import LAYER, Pooled, write_onnx
from kdiffusion.parts.evaluation.distances import (
    frechet_distance,
    gaussian_of,
    kernel_distance,
    precision_and_recall,
)
from kdiffusion.parts.evaluation.features import open_network

TOLERANCE = 1e-3
SHAPE = (32, 32, 3)


class SmallExtractor(FeatureExtractorBase):
    """Two strided convolutions and a mean: 48 features."""

    def __init__(self, name, features_list, **options):
        super().__init__(name, features_list)
        generator = torch.Generator().manual_seed(0)
        self.kernels = torch.nn.ParameterList(
            torch.randn(shape, generator=generator) / np.sqrt(np.prod(shape[1:]))
            for shape in ((32, 3, 5, 5), (48, 32, 3, 3))
        )
        self.requires_grad_(False)

    @staticmethod
    def get_provided_features_list():
        return ("pooled",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "pooled"

    @staticmethod
    def can_be_compiled():
        return False

    def forward(self, image):
        x = image.float() / 32.0 - 4.0
        for kernel in self.kernels:
            x = torch.nn.functional.conv2d(x, kernel, stride=2).relu()
        return (x.mean(dim=(2, 3)),)


class First(torch.nn.Module):
    """The first output of a module: what an ONNX file gives."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, image):
        return self.module(image)[0]


def image_sets(count):
    """Two sets of soft coloured noise, uint8 `[N, H, W, C]`, the second with more contrast."""
    rng = np.random.default_rng(0)
    for contrast in (1.0, 1.1):
        coarse = rng.normal(0, 40 * contrast, (count, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
        images = 128 + coarse + rng.normal(0, 15, (count, *SHAPE))
        yield np.clip(np.rint(images), 0, 255).astype(np.uint8)


def theirs(sets, extractor, layer, subset_size, **options):
    """What torch-fidelity measures."""
    tensors = [torch.tensor(images.transpose(0, 3, 1, 2)) for images in sets]
    found = torch_fidelity.calculate_metrics(
        input1=_Images(tensors[0]), input2=_Images(tensors[1]), cuda=False, cache=False,
        fid=True, kid=True, prc=True, kid_subset_size=subset_size, feature_extractor=extractor,
        feature_layer_fid=layer, feature_layer_kid=layer, feature_layer_prc=layer, verbose=False,
        rng_seed=0, **options,
    )  # fmt: skip
    return {
        "Fréchet distance": found["frechet_inception_distance"],
        "kernel distance": found["kernel_inception_distance_mean"],
        "kernel distance, s.d.": found["kernel_inception_distance_std"],
        "precision": found["precision"],
        "recall": found["recall"],
    }


class _Images(torch.utils.data.Dataset):
    def __init__(self, tensor):
        self.tensor = tensor

    def __len__(self):
        return len(self.tensor)

    def __getitem__(self, index):
        return self.tensor[index]


def ours(sets, path, subset_size):
    """What we measure."""
    _, extract = open_network(path)
    drawn, real = map(extract, sets)
    estimates = kernel_distance(drawn, real, 100, subset_size, seed=0)
    precision, recall = precision_and_recall(real, drawn)
    return {
        "Fréchet distance": frechet_distance(gaussian_of(drawn), gaussian_of(real)),
        "kernel distance": estimates.mean(),
        "kernel distance, s.d.": estimates.std(),
        "precision": precision,
        "recall": recall,
    }


def random_inception(path):
    """Weights of the right names and shapes, drawn so that signals neither fade nor explode."""
    load, FeatureExtractorInceptionV3.load_state_dict = (
        FeatureExtractorInceptionV3.load_state_dict, lambda self, weights: None,
    )  # fmt: skip
    torch.save({}, path)  # a network must be there before its weights can be drawn
    torch.manual_seed(0)
    try:
        network = Pooled(path).network
    finally:
        FeatureExtractorInceptionV3.load_state_dict = load
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), path)


def main(images: int = 1500, inception_images: int = 120):
    """Compares them, and ends with status 1 where one differs.

    Args:
        images: in each set, for the small network; 1000 at least.
        inception_images: in each set, for Inception; 100 at least.
    """
    torch_fidelity.register_feature_extractor("small", SmallExtractor)
    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        small, inception, weights = (Path(folder, name) for name in ("s.onnx", "i.onnx", "w.pth"))
        write_onnx(First(SmallExtractor("small", ["pooled"])), small, (3, 32, 32))
        sets = list(image_sets(images))
        differing += _compare("small network", theirs(sets, "small", "pooled", 1000),
                              ours(sets, small, 1000))  # fmt: skip
        random_inception(weights)
        write_onnx(Pooled(weights), inception, (3, 32, 32))
        sets = list(image_sets(inception_images))
        path = {"feature_extractor_weights_path": str(weights)}
        differing += _compare(
            "Inception v3", theirs(sets, "inception-v3-compat", LAYER, 100, **path),
            ours(sets, inception, 100),
        )  # fmt: skip
    sys.exit(1 if differing else 0)


def _compare(name, theirs, ours):
    print(f"{name:22}  torch-fidelity  here          difference, relative")
    differing = 0
    for measure, expected in theirs.items():
        difference = abs(ours[measure] - expected) / abs(expected)
        differing += difference > TOLERANCE
        print(f"{measure:22}  {expected:<14.7g}  {ours[measure]:<12.7g}  {difference:.1e}")
    return differing


if __name__ == "__main__":
    tyro.cli(main)
