"""The weights of a network by name: what a file of weights holds, and another run starts from."""

import keras

# The table that a label chooses a row from: one row per class, then that of no class.
LABEL_TABLE = "condition/embed_label/embeddings"


def named_weights(network: keras.Model) -> dict[str, keras.Variable]:
    """The variables of a network, by where they are in it.

    Keras numbers layers by a counter of the process. These names are made of the network's own:
    `down_0_block_0/residual/norm_in/scale` is the same in any process.

    Args:
        network: keras.Model, such as `UNet`, whose layers hold their parts as attributes.

    Returns:
        dict from name to keras.Variable, in the order of `network.weights`.
    """
    names = {}
    for layer in network.layers:
        _name(layer, layer.name, names)
    named: dict[str, keras.Variable] = {}
    for variable in network.weights:
        name = first = names.get(id(variable), variable.name)
        number = 0
        while name in named:  # of layers in a list, or in a keras.Sequential
            number += 1
            name = f"{first}_{number}"
        named[name] = variable
    return named


def _name(layer, prefix, names):
    parts = {
        attribute: part
        for attribute, part in vars(layer).items()
        if isinstance(part, keras.layers.Layer)
    }
    for attribute, part in parts.items():
        _name(part, f"{prefix}/{attribute}", names)
    for variable in layer.weights:
        names.setdefault(id(variable), f"{prefix}/{variable.name}")
