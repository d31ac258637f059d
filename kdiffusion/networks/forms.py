"""One function, several forms: how a layer computes it is chosen by name.

A form is no argument of the layer and no part of what is saved: it changes no weight, and no number
by more than rounding. The exporter chooses those that make a small graph; training, if asked to,
those that need less memory.
"""

from collections.abc import Iterator, Mapping

import keras

from kdiffusion.checks import check_name

# Computed again for the gradient (Chen et al. 2016), block by block, rather than kept.
REMATERIALISED = {"ResidualBlock": "rematerialised", "SelfAttention2D": "rematerialised"}


def choose_forms(network: keras.Model, forms: Mapping[str, str]) -> None:
    """Makes the layers of a network compute in the named forms, from its next trace on.

    Args:
        network: keras.Model, such as `UNet`, whose layers hold their parts as attributes.
        forms: from the name of a layer's class to one of its `FORMS`. Classes that the network
            has none of are left aside.

    Raises:
        ValueError: a layer's class has no form of that name.
    """
    for layer in _layers(network):
        name = type(layer).__name__
        if name in forms and hasattr(type(layer), "FORMS"):  # not another's of that name
            layer.form = check_name(f"form of {name}", forms[name], type(layer).FORMS)


def _layers(parent: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """All layers in a layer, at any depth."""
    within = parent.layers if isinstance(parent, keras.Model) else vars(parent).values()
    for layer in within:
        if isinstance(layer, keras.layers.Layer):
            yield layer
            yield from _layers(layer)
