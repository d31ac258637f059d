"""Names for what Keras has no common type of."""

from typing import Any

# A tensor of whichever backend, or a `keras.KerasTensor` while a functional graph is built.
Tensor = Any
# Sizes of a tensor's axes: ints, and None for one that is not known yet, which the batch's is.
Shape = tuple[Any, ...]
