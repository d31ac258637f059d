"""How fast the exported network is: ONNX Runtime with our file, beside PyTorch.

    pip install -r benchmarks/requirements-torch.txt
    python -m benchmarks.onnx_speed

The same U-Net, of 6.8 M parameters, by this package and by diffusers, forward in float32. The
contenders take turns, so that whatever else the machine does falls on all alike.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from diffusers import UNet2DModel

from kdiffusion import DiffusionModel, UNet, make_schedule
from kdiffusion.artifacts.onnx_loader import open_session
from kdiffusion.export.source import ExportSource, inference_network

SIDE, CLASSES, WIDTH, MULTIPLIERS, BLOCKS, ATTENTION = 32, 10, 64, (1, 2, 2), 2, (16, 8)
INPUTS = ("noisy_image", "timestep", "label")
BATCH_SIZE, REPEATS = 64, 15


def our_network():
    """Our U-Net as the ONNX model that `export` writes."""
    network = UNet((SIDE, SIDE, 3), CLASSES, WIDTH, MULTIPLIERS, BLOCKS, ATTENTION)
    # As after training: the exporter leaves out the zeros of a new network's biases.
    noise = np.random.default_rng(0)
    network.set_weights([w + 0.02 * noise.standard_normal(w.shape) for w in network.get_weights()])
    card = DiffusionModel(network, make_schedule("linear")).card()
    return ExportSource(inference_network(network), card).onnx_model


class TorchNetwork(torch.nn.Module):
    """The same network out of diffusers' blocks, called as the Denoiser contract says."""

    def __init__(self):
        super().__init__()
        attends = [SIDE >> level in ATTENTION for level in range(len(MULTIPLIERS))]
        down = ["AttnDownBlock2D" if attend else "DownBlock2D" for attend in attends]
        self.network = UNet2DModel(
            sample_size=SIDE, in_channels=3, out_channels=3, layers_per_block=BLOCKS,
            block_out_channels=tuple(WIDTH * m for m in MULTIPLIERS), down_block_types=tuple(down),
            up_block_types=tuple(name.replace("Down", "Up") for name in reversed(down)),
            attention_head_dim=None, norm_num_groups=16, num_class_embeds=CLASSES + 1,
        )  # fmt: skip

    def forward(self, noisy_image, timestep, label):
        return self.network(noisy_image, timestep, class_labels=label).sample


def torch_batch(size):
    """Inputs of TorchNetwork."""
    label = torch.zeros(size, dtype=torch.long)
    return torch.randn(size, 3, SIDE, SIDE), torch.full((size,), 500), label


def onnx_run(path):
    """A function to time: the network in an ONNX file, on a batch."""
    session = open_session(path, threads=os.cpu_count())
    types = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(int64)": np.int64}
    feeds = {
        value.name: np.ones((BATCH_SIZE, *value.shape[1:]), types[value.type])
        for value in session.get_inputs()
    }
    return lambda: session.run(None, feeds)


def contenders(folder):
    """{name: function to time, on a batch}."""
    ours, theirs = folder / "ours.onnx", folder / "theirs.onnx"
    onnx.save(our_network(), ours)
    network = TorchNetwork().eval()
    torch.onnx.export(
        network, torch_batch(4), theirs, input_names=list(INPUTS), output_names=["prediction"],
        dynamic_shapes={name: {0: torch.export.Dim("batch")} for name in INPUTS}, dynamo=True,
        external_data=False,
    )  # fmt: skip
    torch.set_num_threads(os.cpu_count())  # as many as ONNX Runtime is given
    compiled, batch = torch.compile(network, dynamic=False), torch_batch(BATCH_SIZE)
    return {
        "kdiffusion, ONNX Runtime": onnx_run(ours),
        "PyTorch, ONNX Runtime": onnx_run(theirs),
        "PyTorch, torch.compile": torch.inference_mode()(lambda: compiled(*batch)),
    }


def main():
    """Prints the median time of each contender, as a table in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        runs = contenders(Path(folder))
        for run in runs.values():  # compiles, and touches the memory
            run(), run()
        seconds = {name: [] for name in runs}
        for _ in range(REPEATS):
            for name, run in runs.items():
                time.sleep(0.05)  # the last one's threads wait for more work in a busy loop
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
    print(f"| network and runtime | ms for {BATCH_SIZE} images | images/s |\n|---|---|---|")
    for name, values in seconds.items():
        median = np.median(values)
        print(f"| {name} | {1000 * median:.1f} | {BATCH_SIZE / median:.1f} |")


if __name__ == "__main__":
    main()
