"""One network, one processor: our ONNX export beside Keras's own layers and PyTorch, in one run.

    pip install -r benchmarks/requirements.txt -r benchmarks/requirements-torch.txt
    python -m benchmarks.onnx_speed

Without PyTorch and diffusers the rows of theirs are left out. The contenders take turns, again and
again, so that what else the machine does falls on all alike.
"""

import collections
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tyro

from benchmarks.plain_unet import plain_unet
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.export.inference import inference_network, serving_function
from kdiffusion.export.onnx_writer import OPSET, convert

SHAPE, CLASSES, WIDTH, MULTIPLIERS, BLOCKS, ATTENTION = (32, 32, 3), 10, 64, (1, 2, 2), 2, (16, 8)


def keras_exports(folder):
    """{name: path of an ONNX file}, of the network as it is here and of Keras's own layers."""
    import keras
    import tf2onnx

    from kdiffusion.networks.unet import UNet

    card = DenoiserCard(
        image_shape=SHAPE, class_names=tuple(map(str, range(CLASSES))), null_label=CLASSES,
        prediction_type="epsilon", alphas_cumprod=make_schedule("linear", 1000).alphas_cumprod,
        dataset="none", preset="none", images_seen=0, ema_decay=0.0, sampler="ddim", steps=50,
        guidance_strength=0.0,
    )  # fmt: skip
    keras.utils.set_random_seed(0)
    size = (SHAPE, CLASSES, WIDTH, MULTIPLIERS, BLOCKS, ATTENTION)
    # What the converter makes of it, and what `python -m kdiffusion export` does.
    networks = {
        "Keras's own layers, ONNX Runtime": (
            plain_unet(*size),
            lambda network: tf2onnx.convert.from_function(
                *serving_function(network, SHAPE), opset=OPSET
            )[0],
        ),
        "kdiffusion, ONNX Runtime": (
            UNet(*size),
            lambda network: convert(inference_network(network), card),
        ),
    }
    paths = {}
    for number, (name, (network, export)) in enumerate(networks.items()):
        # As after training: a bias of zeros, such as a new network has, is left out of the graph.
        noise = np.random.default_rng(0)
        network.set_weights(
            [w + 0.02 * noise.standard_normal(w.shape) for w in network.get_weights()]
        )
        paths[name] = folder / f"{number}.onnx"
        onnx.save(export(network), paths[name])
        print(f"{name}: {network.count_params():,} parameters", flush=True)
    return paths


def torch_contenders(folder):
    """({name: path of an ONNX file}, {name: as `onnx_runner`}) of diffusers' UNet2DModel."""
    import torch
    from diffusers import UNet2DModel

    class Denoiser(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, noisy_image, timestep, label):
            return self.network(noisy_image, timestep, class_labels=label).sample

    down = ["AttnDownBlock2D" if 32 >> n in ATTENTION else "DownBlock2D" for n in range(3)]
    network = Denoiser(
        UNet2DModel(
            sample_size=SHAPE[0], in_channels=3, out_channels=3, layers_per_block=BLOCKS,
            block_out_channels=tuple(WIDTH * m for m in MULTIPLIERS), down_block_types=tuple(down),
            up_block_types=tuple(name.replace("Down", "Up") for name in reversed(down)),
            attention_head_dim=None, norm_num_groups=16, num_class_embeds=CLASSES + 1,
        )
    ).eval()  # fmt: skip
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"diffusers: {parameters:,} parameters", flush=True)
    path, batch = folder / "torch.onnx", torch_batch(4)
    names = ["noisy_image", "timestep", "label"]
    torch.onnx.export(
        network, batch, path, input_names=names, output_names=["prediction"], external_data=False,
        dynamic_shapes={name: {0: torch.export.Dim("batch")} for name in names}, dynamo=True,
    )  # fmt: skip
    torch.set_num_threads(os.cpu_count())  # as many as ONNX Runtime is given
    compiled = torch.compile(network, dynamic=False)

    def prepare(size):
        batch = torch_batch(size)
        return torch.inference_mode()(lambda: compiled(*batch))

    return {"PyTorch, ONNX Runtime": path}, {"PyTorch, torch.compile": prepare}


def torch_batch(size):
    """A batch in PyTorch's own layout."""
    import torch

    return (
        torch.randn(size, SHAPE[2], *SHAPE[:2]),
        torch.full((size,), 500),
        torch.zeros(size, dtype=torch.long),
    )


def onnx_runner(path):
    """callable(batch size) ► callable that runs a batch of that size."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    noise = np.random.default_rng(0)

    def prepare(size):
        feeds = {}
        for value in session.get_inputs():
            integer = np.int64 if value.type == "tensor(int64)" else np.int32
            feeds[value.name] = (
                noise.standard_normal((size, *value.shape[1:])).astype(np.float32)
                if value.name == "noisy_image"
                else np.zeros(size, integer)
            )
        return lambda: session.run(None, feeds)

    return prepare


def measure(runners, size, repeats):
    """{name: seconds `[repeats]`}, each contender in turn."""
    runs = {name: prepare(size) for name, prepare in runners.items()}
    for run in runs.values():  # compiles, and touches the memory
        run(), run()
    seconds = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            time.sleep(0.05)  # the last one's threads wait for more work in a busy loop
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def main(batch_sizes: tuple[int, ...] = (64, 1), repeats: int = 15):
    """Measures the forward pass in float32 and prints a table in Markdown.

    Args:
        batch_sizes: images at a time.
        repeats: timed runs of each contender; the table gives the median. A batch of 1 gets ten
            times as many.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths, torch_runners = keras_exports(Path(folder)), {}
        try:
            torch_paths, torch_runners = torch_contenders(Path(folder))
            paths |= torch_paths
        except ModuleNotFoundError as error:
            print(f"Without PyTorch's rows: {error}")
        kinds = {
            name: collections.Counter(node.op_type for node in onnx.load(path).graph.node)
            for name, path in paths.items()
        }
        print(_table_of_kinds(kinds))
        runners = {name: onnx_runner(path) for name, path in paths.items()} | torch_runners
        print(_table(runners, batch_sizes, repeats))


def _table_of_kinds(kinds):
    shown = ["Transpose", "Reshape", "Gather", "Slice", "Shape", "Cast", "Tile", "Mul", "Conv"]
    lines = [f"| nodes of ONNX | all | {' | '.join(shown)} |", f"|---|---|{'---|' * len(shown)}"]
    for name, counts in kinds.items():
        numbers = [counts.total(), *(counts[kind] for kind in shown)]
        lines.append(f"| {name} | {' | '.join(map(str, numbers))} |")
    return "\n".join(lines)


def _table(runners, batch_sizes, repeats):
    lines = ["| network and runtime |", "|---|"]
    rows = {name: f"| {name} |" for name in runners}
    for size in batch_sizes:
        seconds = measure(runners, size, repeats if size > 1 else 10 * repeats)
        medians = {name: np.median(values) for name, values in seconds.items()}
        first = next(iter(medians.values()))
        lines[0] += f" batch {size}: ms | images/s | speed |"
        lines[1] += "---|---|---|"
        for name, median in medians.items():
            rows[name] += f" {1000 * median:.1f} | {size / median:.1f} | {first / median:.2f} x |"
    return "\n".join([*lines, *rows.values()])


if __name__ == "__main__":
    tyro.cli(main)
