"""SiLU, whose gradient costs as little in half precision as its value does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras import ops

if TYPE_CHECKING:
    from kdiffusion.networks.types import Tensor


def silu(x: Tensor) -> Tensor:
    """x sigmoid(x) (Elfwing et al. 2018).

    In half precision the gradient is computed in float32 and rounded once: TensorFlow's own rounds
    after each of its five operations, and on a processor emulates every one of them.

    Args:
        x: tensor of any shape.
    """
    return ops.silu(x) if ops.dtype(x) == "float32" else _half_precision_silu(x)


@ops.custom_gradient
def _half_precision_silu(x):
    def gradient(*args, upstream=None):
        (upstream,) = args if upstream is None else (upstream,)
        x32 = ops.cast(x, "float32")
        gate = ops.sigmoid(x32)
        slope = gate * (1.0 + x32 * (1.0 - gate))
        return ops.cast(ops.cast(upstream, "float32") * slope, x.dtype)

    return ops.silu(x), gradient
