"""The same names in the same order for the same network, whatever else its process has made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

_COUNTED = re.compile(r"(?P<stem>.*?)(?:_+\d+)*(?P<output>:\d+)?", re.DOTALL)


def with_canonical_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Orders and names what is in an ONNX model by its structure alone.

    Keras and the converter number layers and operations by counters of the process, and the
    converter's order follows its names. Inputs and outputs keep their names.

    Args:
        model: onnx.ModelProto. It is changed, unless it has subgraphs, which use names of the graph
            around them (a loop, as no network of ours has).

    Returns:
        The model.
    """
    if any(a.HasField("g") or a.graphs for node in model.graph.node for a in node.attribute):
        return model
    model.doc_string = model.graph.doc_string = ""
    graph = model.graph
    nodes = _in_order(graph)
    rename = _Names([value.name for value in (*graph.input, *graph.output)])
    weights = {weight.name for weight in graph.initializer}
    for node in nodes:
        node.name = rename(node.name)
        for index, name in enumerate(node.input):
            if name in weights:  # of several that are equal, the converter keeps any
                rename.new.setdefault(name, f"{node.name}/input_{index}")
        node.input[:] = [rename(name) for name in node.input]
        node.output[:] = [rename(name) for name in node.output]
        node.doc_string = ""
        del node.metadata_props[:]
    for values in (graph.initializer, graph.value_info):
        known = [value for value in values if value.name in rename.new]
        for value in known:
            value.name = rename(value.name)
        known.sort(key=lambda value: value.name)
        copies = [type(value).FromString(value.SerializeToString()) for value in known]
        del values[:]
        values.extend(copies)  # pyright: ignore[reportArgumentType] (of one of the two kinds)
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    return model


def _in_order(graph):
    """The nodes that the outputs need, each after those that it needs, by the order of inputs."""
    makers = {name: node for node in graph.node for name in node.output}
    done, ordered = set(), []
    waiting = [makers[value.name] for value in reversed(graph.output)]
    while waiting:
        node = waiting[-1]
        needed = [makers[name] for name in node.input if name in makers]
        missing = [maker for maker in needed if id(maker) not in done]
        if missing:
            waiting.append(missing[0])
            continue
        waiting.pop()
        if id(node) not in done:
            done.add(id(node))
            ordered.append(node)
    return ordered


class _Names:
    """Old name ► new one: numbers at the end of each part are counted anew, as parts appear.

    They are counted within the part before: whether two layers' operations share a number says
    something of the process alone.
    """

    def __init__(self, kept):
        self.new = {name: name for name in ("", *kept)}
        self._places = {}  # old name up to a part, without its output: the new one
        self._counts = {}  # new name up to a part, without its number: how many there are

    def __call__(self, name):
        if name not in self.new:
            match: Any = _COUNTED.fullmatch(name)  # every text is a match
            output = match["output"] or ""
            self.new[name] = self._place(name.removesuffix(output)) + output
        return self.new[name]

    def _place(self, old):
        if old not in self._places:
            before, slash, part = old.rpartition("/")
            match: Any = _COUNTED.fullmatch(part)
            stem = (self._place(before) + slash if slash else "") + match["stem"]
            number = self._counts[stem] = self._counts.get(stem, -1) + 1
            self._places[old] = stem + (f"_{number}" if number else "")
        return self._places[old]
