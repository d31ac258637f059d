"""How fast an exported network is in OpenVINO, in float32 and in bfloat16.

    pip install openvino && python -m benchmarks.openvino_precision

The two take turns, so that whatever else the machine does falls on all alike.
"""

import time
from pathlib import Path

import numpy as np
import openvino
import tyro

from kdiffusion import load_denoiser

TURNS = 12


def main(file: Path = Path("pretrained/cifar10_5m/denoiser_int8.onnx"), batch: int = 64) -> None:
    """Prints the median speed of each precision.

    Args:
        file: the ONNX file.
        batch: images in a call.
    """
    shape = load_denoiser(file).card.image_shape
    x = np.random.default_rng(0).standard_normal((batch, *shape), np.float32)
    inputs = (x, np.full(batch, 500, np.int32), np.zeros(batch, np.int32))
    contenders = {}
    for precision in ("f32", "bf16"):
        compiled = openvino.Core().compile_model(
            file, "CPU", {"INFERENCE_PRECISION_HINT": precision}
        )
        contenders[precision] = compiled
    seconds = {name: [] for name in contenders}
    for _ in range(TURNS):
        for name, predict in contenders.items():
            start = time.perf_counter()
            predict(inputs)
            seconds[name].append(time.perf_counter() - start)
    for name, each in seconds.items():
        print(f"{name}: {batch / np.median(each):.0f} predictions/s")


if __name__ == "__main__":
    tyro.cli(main)
