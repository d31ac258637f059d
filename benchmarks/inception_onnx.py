"""The Inception network of the FID as an ONNX file, from the weights that others publish.

    python -m benchmarks.inception_onnx WEIGHTS.pth --out inception.onnx

Then `--features inception.onnx` of `kdiffusion evaluate` gives FID and KID themselves.
torch-fidelity (release v0.2.0) and pytorch-fid (release fid_weights) publish the weights under the
names weights-inception-2015-12-05-6726825d.pth and pt_inception-2015-12-05-6726825d.pth; the digits
at the end are the beginning of the file's SHA-256. Images go in as they are: the network resizes
them inside, as TensorFlow 1 did.
"""

from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from kdiffusion.atomic_files import staged

LAYER = "2048"


class Pooled(torch.nn.Module):
    """uint8 images `[B, 3, H, W]` to features `[B, 2048]`."""

    def __init__(self, weights):
        super().__init__()
        self.network = FeatureExtractorInceptionV3(
            "inception", [LAYER], feature_extractor_weights_path=str(weights)
        )

    def forward(self, image):
        return self.network(image)[0]


def write_onnx(module, path, shape):
    """Writes a torch module from uint8 images to features, for a batch of any size.

    Args:
        module: torch.nn.Module.
        path: path of the file to make.
        shape: `(C, H, W)` of its images.
    """
    example = torch.randint(0, 256, (2, *shape), dtype=torch.uint8)
    torch.onnx.export(
        module.eval(), (example,), str(path), input_names=["image"], output_names=["features"],
        dynamic_axes={"image": {0: "batch"}, "features": {0: "batch"}}, opset_version=18,
        dynamo=False,
    )  # fmt: skip


def main(
    weights: Annotated[Path, tyro.conf.Positional],
    out: Path = Path("inception.onnx"),
    size: int = 32,
    overwrite: bool = False,
):
    """Writes the network with the weights in a file.

    Args:
        weights: the file that torch-fidelity or pytorch-fid publishes.
        out: ONNX file to write.
        size: height and width of the images that will be evaluated: the resizing inside is fixed
            to them.
        overwrite: replace an existing file.
    """
    with staged(out, overwrite) as temporary:
        write_onnx(Pooled(weights), temporary, (3, size, size))
    print(f"Written: {out}")


if __name__ == "__main__":
    tyro.cli(main)
