"""The converted graph, rewritten into one that computes the same in fewer passes over its maps.

Every operation is still ONNX's own. Rules are patterns of `onnxscript.rewriter`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import Sequential, common
from onnxscript.rewriter import RewritePass, RewriteRuleClassBase

if TYPE_CHECKING:
    import onnx


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """Applies the rules of this file.

    Args:
        model: onnx.ModelProto.

    Returns:
        onnx.ModelProto.
    """
    passes = Sequential(
        common.ShapeInferencePass(),
        RewritePass([MeanSquareByProduct.rule()]),
        common.RemoveUnusedNodesPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
    )
    return ir.to_proto(passes(ir.from_proto(model)).model)


class MeanSquareByProduct(RewriteRuleClassBase):
    """The mean square of each group of channels as the product of a row with itself.

    As the layer `GroupNorm` has it, the squares are a second map, written and read again. In the
    layout of ONNX a group is one row, which a matrix product reads once.
    """

    def pattern(self, op: Any, x: Any, axes: Any, flat: Any, group_mean: Any) -> Any:
        mean = op.ReduceMean(op.Mul(x, x), axes, keepdims=1)
        return op.MatMul(op.Reshape(mean, flat), group_mean)

    def check(  # pyright: ignore[reportIncompatibleMethodOverride] (called by name)
        self, context: Any, x: Any, axes: Any, flat: Any, group_mean: Any
    ) -> bool:
        constants = [value.const_value for value in (axes, flat, group_mean)]
        if x.shape is None or None in constants:
            return False
        axes, flat, matrix = (constant.numpy() for constant in constants)
        known = all(isinstance(side, int) for side in list(x.shape)[1:])
        moments = axes.tolist() == [2, 3] and len(flat) == 2  # over the map, to [B, C]
        return known and moments and np.array_equal(matrix, _group_mean_like(matrix))

    def rewrite(self, op: Any, x: Any, group_mean: Any, **_: Any) -> Any:
        matrix = group_mean.const_value.numpy()
        groups, size = _groups(matrix)
        length = size * math.prod(list(x.shape)[2:])
        row = op.Reshape(x, op.Constant(value_ints=[0, groups, 1, length]))
        square = op.MatMul(row, op.Transpose(row, perm=[0, 1, 3, 2]))  # [B, groups, 1, 1]
        square = op.Reshape(square, op.Constant(value_ints=[0, groups]))
        to_channels = np.kron(np.eye(groups), np.full((1, size), 1.0 / length))
        return op.MatMul(square, op.Constant(value=ir.tensor(to_channels.astype(np.float32))))


def _groups(matrix):
    """(groups, channels of each), if `matrix` is one that averages within groups."""
    size = max(int(np.count_nonzero(matrix[0])), 1)
    return len(matrix) // size, size


def _group_mean_like(matrix):
    groups, size = _groups(matrix)
    return np.kron(np.eye(groups), np.full((size, size), 1.0 / size)).astype(matrix.dtype)
