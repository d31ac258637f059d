"""Decides what a configuration leaves open: by the run to resume, the parent and the devices."""

import json
from dataclasses import fields, replace

from kdiffusion.runs.build import resolve_policy
from kdiffusion.runs.config import PARENT, Config, ModelConfig
from kdiffusion.runs.initial_weights import InitialWeights
from kdiffusion.runs.run_directory import RunDirectory

# What the data set decides, and what a run that starts from another chooses for itself.
OF_THE_NEW_RUN = ("image_shape", "num_classes", "numbers", "image_channels", "dropout")


def resolve(
    config: Config,
    before: RunDirectory | None,
    parent: InitialWeights | None,
    image_shape: tuple[int, int, int],
) -> Config:
    """The configuration of a run, with nothing left open.

    Args:
        config: `Config` that was asked for.
        before: `RunDirectory` of the run to resume: what was open then means what it meant.
        parent: `InitialWeights` that a new run starts from, which has the network "parent" and a
            student's guidance; or None.
        image_shape: `(height, width, channels)` of the run's images.
    """
    model, objective = config.model, config.objective
    if before is None and model.network == PARENT:
        model = _network_of(parent, image_shape[0], model)
    elif before is not None:
        begun = before.config
        if model.network == PARENT:
            model = replace(begun.model, dropout=model.dropout, dtype_policy=model.dtype_policy)
        if model.dtype_policy == "auto":
            model = replace(model, dtype_policy=begun.model.dtype_policy)
        if type(objective) is type(begun.objective):
            left_out = [name for name, value in vars(objective).items() if value in (None, ())]
            found = {name: getattr(begun.objective, name) for name in left_out}
            objective = replace(objective, **found)
    objective = objective.resolved(config.sampling, parent and parent.card)
    model = replace(model, dtype_policy=resolve_policy(model.dtype_policy))
    return replace(config, model=model, objective=objective)


def _network_of(parent, height, asked):
    """The `ModelConfig` of a parent's network, with the dropout and dtype policy asked for.

    Self-attention stays at the levels of the network where the parent has it, whatever their maps'
    heights are for images of this height.
    """
    known = {field.name for field in fields(ModelConfig)}
    arguments = {
        name: value
        for name, value in parent.network.items()
        if name not in OF_THE_NEW_RUN and value is not None
    }
    if "attention_resolutions" in arguments:
        own = parent.network["image_shape"][0]
        # Each level halves the maps: what one is of the image's height, it is of any.
        heights = [each * height for each in arguments["attention_resolutions"]]
        arguments["attention_resolutions"] = tuple(h // own for h in heights if h % own == 0)
    options = tuple(
        f"{name}={json.dumps(value)}"
        for name, value in sorted(arguments.items())
        if name not in known
    )
    return ModelConfig(
        network=parent.network_class,
        network_options=options,
        dropout=asked.dropout,
        dtype_policy=asked.dtype_policy,
        **{name: value for name, value in arguments.items() if name in known},
    )
