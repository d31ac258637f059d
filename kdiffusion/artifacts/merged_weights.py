"""Weights of layers that an exported graph computes in a merged form, and how to have them back.

The forms are `SelfAttention2D`'s "folded" and `Upsample`'s "transposed". A row of `MERGED` says
which constants of an ONNX graph they make of a layer's weights, and gives weights of the same
function for such constants. NumPy alone, so that a file is read without Keras.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

Arrays = dict[str, np.ndarray]

# The 4x4 kernel of a transposed convolution sums the taps of the 3x3 kernel that meet the same
# input pixel, along each side. From the last row to the first, as a transposed convolution has it.
_TAPS = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], float)


def transposed(weights: Arrays) -> Arrays:
    """The constant of an upsampling that is one transposed convolution.

    Args:
        weights: `conv/kernel`, `[3, 3, in, out]`.

    Returns:
        dict with `kernel`, float64 `[in, out, 4, 4]`.
    """
    kernel = np.einsum("ay,bx,yxio->ioab", _TAPS, _TAPS, weights["conv/kernel"].astype(float))
    return {"kernel": kernel}


def not_transposed(constants: Arrays) -> Arrays:
    """The inverse of `transposed`; the least squares of 16 rounded sums."""
    inverse = np.linalg.pinv(_TAPS)
    return {
        "conv/kernel": np.einsum(
            "ya,xb,ioab->yxio", inverse, inverse, constants["kernel"].astype(float)
        )
    }


def folded(weights: Arrays) -> Arrays:
    """The constants of attention with one head, folded into two projections.

    Args:
        weights: kernels `[C, C]` and biases `[C]` of query, key, value and project.

    Returns:
        dict of float64 arrays: `query_kernel` and `output_kernel`, `[C, C, 1, 1]`, output channels
        first; `query_bias` and `output_bias`, `[C]`.
    """
    exact = {name: weight.astype(float) for name, weight in weights.items()}
    scale = len(exact["query/bias"]) ** -0.5
    query = scale * exact["query/kernel"] @ exact["key/kernel"].T
    output = exact["value/kernel"] @ exact["project/kernel"]
    return {
        "query_kernel": query.T[..., None, None],
        "query_bias": scale * exact["key/kernel"] @ exact["query/bias"],
        "output_kernel": output.T[..., None, None],
        "output_bias": exact["value/bias"] @ exact["project/kernel"] + exact["project/bias"],
    }


def unfolded(constants: Arrays) -> Arrays:
    """Weights of the same attention: `folded` of them gives the constants.

    A product has many factors. These are the balanced ones of its singular values, as two layers
    that are trained together have them. The biases of key and value are 0: nothing depends on them.
    """
    channels = len(constants["query_bias"])
    scale = channels**-0.5
    query, key = _factors(constants["query_kernel"].reshape(channels, channels).T / scale)
    value, project = _factors(constants["output_kernel"].reshape(channels, channels).T)
    query_bias = np.linalg.lstsq(key.T, constants["query_bias"] / scale, rcond=None)[0]
    return {
        "query/kernel": query,
        "query/bias": query_bias,
        "key/kernel": key.T,
        "key/bias": np.zeros(channels),
        "value/kernel": value,
        "value/bias": np.zeros(channels),
        "project/kernel": project,
        "project/bias": constants["output_bias"],
    }


def _factors(product):
    """(A, B) of the product A B: A'A = B B', so that both are of one scale."""
    left, values, right = np.linalg.svd(product.astype(float))
    root = np.sqrt(values)
    return left * root, root[:, None] * right


@dataclasses.dataclass(frozen=True)
class Merged:
    """A form of a layer in which a graph has its weights merged.

    Attributes:
        weights: tuple of str. Their names within the layer.
        constants: tuple of str. What to call the graph's constants.
        merge: function from a dict of the weights to one of the constants; a ValueError for shapes
            that the layer can't have.
        separate: function from the constants to weights of the same function.
    """

    weights: tuple[str, ...]
    constants: tuple[str, ...]
    merge: Callable[[Arrays], Arrays]
    separate: Callable[[Arrays], Arrays]


# What the list in a file calls a form ► the form.
MERGED = {
    "upsampling": Merged(("conv/kernel",), ("kernel",), transposed, not_transposed),
    "attention": Merged(
        tuple(
            f"{part}/{weight}"
            for part in ("query", "key", "value", "project")
            for weight in ("kernel", "bias")
        ),
        ("query_kernel", "query_bias", "output_kernel", "output_bias"),
        folded,
        unfolded,
    ),
}
