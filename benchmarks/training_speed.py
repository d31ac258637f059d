"""A training step of a preset: ours, PyTorch's, and what its convolutions alone would take.

    pip install -r benchmarks/requirements.txt -r benchmarks/requirements-torch.txt
    python -m benchmarks.training_speed cifar10_small

Without PyTorch and diffusers the rows of theirs are left out. The contenders take turns, again and
again, so that what else the machine does falls on all alike. A step is all of it: noise and
timesteps drawn, forward, backward, clipping, the optimizer, the moving average; not the input
pipeline.
"""

import collections
import os
import time
from typing import Annotated

import keras
import numpy as np
import tensorflow as tf
import tyro

from kdiffusion.precision import resolve_policy
from kdiffusion.runs import PRESETS
from kdiffusion.runs.build import build_model

SHAPE, CLASSES = (32, 32, 3), 10
PresetName = tyro.extras.literal_type_from_choices(list(PRESETS))


def our_step(config):
    """A callable that takes one step of the preset's model, and the model."""
    model = build_model(config, SHAPE, CLASSES, total_steps=10_000)
    rng = np.random.default_rng(0)
    size = config.optimizer.batch_size
    images = tf.constant(rng.uniform(-1, 1, (size, *SHAPE)), tf.float32)
    labels = tf.constant(rng.integers(0, CLASSES, size), tf.int32)
    step = tf.function(lambda: model.train_step((images, labels))["loss"], autograph=False)
    return lambda: step().numpy(), model


def torch_steps(config):
    """{name: callable} of the same network out of diffusers' blocks, eager and compiled.

    UNet2DModel on the same pixel patches, bfloat16 autocast, channels last, fused AdamW, with the
    clipping and the average in the step.
    """
    import torch

    torch.set_num_threads(os.cpu_count())  # as many as TensorFlow takes
    return {
        "PyTorch, eager": _torch_step(torch, config, compiled=False),
        "PyTorch, torch.compile": _torch_step(torch, config, compiled=True),
    }


def _torch_step(torch, config, compiled):
    patch, size = config.model.patch_size, config.optimizer.batch_size
    network = _diffusers_network(config).to(memory_format=torch.channels_last)
    average = [parameter.detach().clone() for parameter in network.parameters()]
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, 1e-3, weight_decay=0.0, fused=True)
    forward = torch.compile(network, dynamic=False) if compiled else network
    images = torch.rand(size, SHAPE[2], *SHAPE[:2]) * 2 - 1
    labels = torch.randint(0, CLASSES, (size,))
    angle = torch.linspace(0.001, 0.999, 1000) * torch.pi / 2  # alpha_bar = cos^2

    def step():
        timesteps = torch.randint(0, 1000, (size,))
        noise = torch.randn_like(images)
        signal, noisiness = (
            wave(angle[timesteps])[:, None, None, None] for wave in (torch.cos, torch.sin)
        )
        target = signal * noise - noisiness * images
        noisy = torch.nn.functional.pixel_unshuffle(signal * images + noisiness * noise, patch)
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        given = torch.where(torch.rand(size) < 0.1, CLASSES, labels)
        with torch.autocast("cpu", torch.bfloat16):
            prediction = forward(noisy, timesteps, class_labels=given).sample
        prediction = torch.nn.functional.pixel_shuffle(prediction.float(), patch)
        loss = torch.mean(torch.square(target - prediction))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        torch._foreach_lerp_(average, [parameter.detach() for parameter in parameters], 0.001)
        return loss.item()

    return step


def _diffusers_network(config):
    from diffusers import UNet2DModel

    model, side = config.model, SHAPE[0] // config.model.patch_size
    levels = range(len(model.channel_multipliers))
    attends = [side >> level in model.attention_resolutions for level in levels]
    down = ["AttnDownBlock2D" if attend else "DownBlock2D" for attend in attends]
    channels = SHAPE[2] * model.patch_size**2
    return UNet2DModel(
        sample_size=side, in_channels=channels, out_channels=channels,
        layers_per_block=model.blocks_per_level,
        block_out_channels=tuple(model.base_channels * m for m in model.channel_multipliers),
        down_block_types=tuple(down),
        up_block_types=tuple(name.replace("Down", "Up") for name in reversed(down)),
        attention_head_dim=None, norm_num_groups=16, num_class_embeds=CLASSES + 1,
    )  # fmt: skip


def convolutions(network, batch_size):
    """{(input shape, kernel shape, stride): how often} of the network's 3x3 convolutions."""
    inputs = {
        name: tf.TensorSpec((batch_size, *tensor.shape[1:]), tensor.dtype)
        for name, tensor in network.input.items()
    }
    call = tf.function(lambda inputs: network(inputs, training=True), autograph=False)
    traced = call.get_concrete_function(inputs)
    found = collections.Counter()
    for operation in traced.graph.get_operations():
        if operation.type == "Conv2D" and operation.inputs[1].shape[0] == 3:
            image, kernel = (tuple(tensor.shape) for tensor in operation.inputs)
            found[image, kernel, operation.get_attr("strides")[1]] += 1
    return found


def convolution_step(network, batch_size, dtype):
    """A callable that gives the seconds of the 3x3 convolutions: forward and both gradients.

    Each shape is timed by itself, the best of three, and counts as often as the network has it.
    """
    timed = []
    for (image, kernel, stride), count in convolutions(network, batch_size).items():
        x, k = (tf.cast(tf.random.normal(shape), dtype) for shape in (image, kernel))
        options = {"strides": [1, stride, stride, 1], "padding": "SAME"}
        y = tf.nn.conv2d(x, k, **options)
        for run in (
            lambda x=x, k=k, o=options: tf.nn.conv2d(x, k, **o),
            lambda x=x, k=k, y=y, o=options: tf.raw_ops.Conv2DBackpropInput(
                input_sizes=x.shape, filter=k, out_backprop=y, **o
            ),
            lambda x=x, k=k, y=y, o=options: tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=k.shape, out_backprop=y, **o
            ),
        ):
            # Asked for a number: an eager operation on a processor has ended by then.
            timed.append(
                (tf.function(lambda run=run: tf.reduce_max(run()), autograph=False), count)
            )
    return lambda: sum(count * min(_seconds(run) for _ in range(3)) for run, count in timed)


def _seconds(run):
    start = time.perf_counter()
    run().numpy()
    return time.perf_counter() - start


def measure(steps, parts, rounds):
    """{name: seconds `[rounds]`} of the steps and the parts, in turns."""
    for step in steps.values():  # compiles, and touches the memory
        step(), step()
    seconds = {name: [] for name in (*steps, *parts)}
    for part in parts.values():
        part()
    for _ in range(rounds):
        for name, step in steps.items():
            time.sleep(0.05)  # the last one's threads wait for more work in a busy loop
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
        for name, part in parts.items():
            seconds[name].append(part())
    return seconds


def main(preset: Annotated[PresetName, tyro.conf.Positional] = "cifar10_small", rounds: int = 15):
    """Measures and prints a table in Markdown: medians, and quartiles in brackets.

    Args:
        preset: which; for images of 32x32x3 and ten classes.
        rounds: timed steps of each contender.
    """
    config = PRESETS[preset]
    size = config.optimizer.batch_size
    ours, model = our_step(config)
    print(f"{preset}: {model.network.count_params():,} parameters, batches of {size}", flush=True)
    steps = {"kdiffusion": ours}
    try:
        steps |= torch_steps(config)
    except ModuleNotFoundError as error:
        print(f"Without PyTorch's rows: {error}")
    dtype = keras.dtype_policies.get(resolve_policy(config.model.dtype_policy)).compute_dtype
    parts = {
        f"its 3x3 convolutions alone, {dtype}": convolution_step(model.network, size, dtype),
    }
    seconds = measure(steps, parts, rounds)
    print("| training step | ms | images per second |\n|---|---|---|")
    for name, values in seconds.items():
        low, middle, high = np.percentile(values, (25, 50, 75))
        print(
            f"| {name} | {1000 * middle:.3g} ({1000 * low:.3g}-{1000 * high:.3g}) "
            f"| {size / middle:.0f} ({size / high:.0f}-{size / low:.0f}) |"
        )


if __name__ == "__main__":
    tyro.cli(main)
