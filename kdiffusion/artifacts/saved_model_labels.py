"""How many labels a served function tells apart, read off its graph."""

from __future__ import annotations

import graphlib
from typing import Any

_GATHERS = ("ResourceGather", "GatherV2")


def gathered_tables(
    library: Any, name: str, arguments: tuple, of: Any, memo: set | None = None
) -> set[frozenset]:
    """The tables that a function gathers from by what one of its inputs says.

    Args:
        library: dict from the name of each function to a FunctionDef.
        name: str. The function.
        arguments: what each of its arguments stems from, a frozenset of names and numbers.
        of: str. The name of the input.
        memo: set. Calls that have been looked at.

    Returns:
        set of frozensets, what each table stems from, as in `arguments`.
    """
    memo = set() if memo is None else memo
    if (name, arguments) in memo:
        return set()
    memo.add((name, arguments))
    function = library[name]
    names = [argument.name for argument in function.signature.input_arg]
    sources = dict(zip(names, arguments, strict=True))
    tables = set()
    nodes = {node.name: node for node in function.node_def}
    makers = {node.name: map(_maker, _tensors(node)) for node in function.node_def}
    for each in graphlib.TopologicalSorter(makers).static_order():
        if each not in nodes:  # an argument
            continue
        node = nodes[each]
        inputs = [sources[_maker(tensor)] for tensor in _tensors(node)]
        sources[node.name] = frozenset().union(*inputs)
        if node.op in _GATHERS and of in inputs[1]:
            tables.add(inputs[0])
        called = [f for a in node.attr.values() for f in (a.func, *a.list.func) if f.name]
        for reference in called:
            taken = len(library[reference.name].signature.input_arg)
            given = tuple(inputs[len(inputs) - taken :])  # without the condition of an If
            tables |= gathered_tables(library, reference.name, given, of, memo)
    return tables


def _tensors(node):
    """What a node takes, without those that it only waits for."""
    return [tensor for tensor in node.input if not tensor.startswith("^")]


def _maker(tensor):
    return tensor.split(":")[0]
