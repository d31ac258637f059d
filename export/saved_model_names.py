"""A SavedModel whose functions are named and ordered by what they are, not by the process.

TensorFlow numbers functions as long as a process lives and lists them by these names, and protobuf
writes a map in any order: the same network would give another file each time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_NUMBERED = re.compile(r"(.+)_(\d+)")
_GIVEN = "_user_specified_name"


def make_reproducible(folder: Path) -> None:
    """Rewrites the graph of a SavedModel: the same network gives the same bytes in any process.

    Args:
        folder: Path. What `tf.saved_model.save` wrote. Its fingerprint.pb, which TensorFlow does
            without, is of the graph as it was, and has a random number: it goes.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    file = folder / "saved_model.pb"
    saved: Any = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    functions = graph.library.function
    _change_words(saved, _renaming(function.signature.name for function in functions))
    for nodes in (graph.node, *(function.node_def for function in functions)):
        for node in nodes:
            # The number of a gradient in this process, of which the file has none.
            node.attr.pop("_gradient_op_type", None)
    for argument in (each for function in functions for each in function.arg_attr.values()):
        # A weight's, which is a number of this process; those of inputs are words.
        if _GIVEN in argument.attr and argument.attr[_GIVEN].s.isdigit():
            del argument.attr[_GIVEN]
    ordered = sorted(functions, key=lambda function: function.signature.name)
    copies = [type(function).FromString(function.SerializeToString()) for function in ordered]
    del functions[:]
    functions.extend(copies)
    file.write_bytes(saved.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink()


def _renaming(names: Iterable[str]) -> Callable[[str], str]:
    """What numbers functions anew, from 0 for each word, in words that hold such a name."""
    matches = [match for match in map(_NUMBERED.fullmatch, names) if match]
    seen, new = Counter(), {}
    for match in sorted(matches, key=lambda match: int(match[2])):  # as they were made
        new[match.string] = f"{match[1]}_{seen[match[1]]}"
        seen[match[1]] += 1
    if not new:
        return lambda word: word
    longest_first = "|".join(sorted(map(re.escape, new), key=len, reverse=True))
    held = re.compile(rf"(?<![A-Za-z0-9])({longest_first})(?!\d)")
    return lambda word: held.sub(lambda match: new[match[1]], word)


def _change_words(message, change):
    """Replaces each string of a protobuf message, wherever in it, and the keys of its maps."""
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _change_map(field.message_type.fields_by_name["value"], value, change)
        elif field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                _change_words(each, change)
        elif field.type == field.TYPE_STRING and field.is_repeated:
            value[:] = [change(each) for each in value]
        elif field.type == field.TYPE_STRING:
            setattr(message, field.name, change(value))


def _change_map(held, entries, change):
    for key in list(entries):
        new = change(key) if isinstance(key, str) else key
        if held.message_type is not None:
            _change_words(entries[key], change)
            if new != key:
                entries[new].CopyFrom(entries[key])
                del entries[key]
        elif held.type == held.TYPE_STRING:
            entries[new] = change(entries.pop(key))
