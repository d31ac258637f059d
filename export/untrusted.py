"""What a SavedModel from a stranger may do when it is opened and called: compute, and nothing else.

A SavedModel is a program. TensorFlow has operations that read and write files, and objects that run
a function of the file's when it is opened. The graphs that this project exports need neither, so a
file that has them is refused: the objects before it is opened, the operations before it is called.
"""

from .denoiser import ArtefactError

# Nothing of the file runs while these are restored. Not among them: resources, which bring
# functions that make and fill them, and assets.
_PASSIVE = {
    "user_object", "function", "bare_concrete_function", "variable", "constant", "captured_tensor",
}  # fmt: skip
# Of the operations that TensorFlow's registry calls stateful, those that move numbers alone. What
# loops and calls lead to is looked at as well.
_HARMLESS = {
    "Placeholder", "VarHandleOp", "ReadVariableOp", "ResourceGather", "StatefulPartitionedCall",
    "While", "If",
}  # fmt: skip
# Stateless by the registry, and yet they run Python or name files.
_STATELESS_BUT_NOT_PURE = {
    "ReadFile", "WriteFile", "MatchingFiles", "PyFuncStateless", "DecodeProtoV2", "EncodeProto",
    "DebugIdentity", "DebugNanCount", "DebugNumericSummary", "InitializeTableFromTextFileV2",
}  # fmt: skip


def check_opens_passively(path):
    """Refuses a SavedModel that would run something of its own while it is opened.

    Args:
        path: Path of the folder.

    Raises:
        ArtefactError: naming the kind of object, or that the file can't be parsed.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((path / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise ArtefactError(f"{path} cannot be read as a whole SavedModel: {error}") from error
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].object_graph_def.nodes:
        raise ArtefactError(f"{path} must hold one graph with objects, as TensorFlow 2 writes it")
    nodes = saved.meta_graphs[0].object_graph_def.nodes
    kinds = {node.WhichOneof("kind") for node in nodes} - {None}
    if kinds - _PASSIVE:
        raise ArtefactError(
            f"{path} must hold nothing that runs when it is opened. "
            f"Received: {', '.join(sorted(kinds - _PASSIVE))}"
        )


def check_only_computes(function, path):
    """Refuses a loaded function that can do more than compute.

    Args:
        function: concrete function of a SavedModel.
        path: Path of the folder, for the error.

    Raises:
        ArtefactError: naming the operations.
    """
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for part in graph.library.function for node in part.node_def)]
    refused = sorted({node.op for node in nodes if not _is_pure(node.op)})
    if refused:
        raise ArtefactError(
            f"{path} must only compute: it is not run, because it holds operations that can touch "
            f"files or run code. Received: {', '.join(refused)}"
        )


def _is_pure(name):
    from tensorflow.python.framework import op_def_registry

    if name in _HARMLESS:
        return True
    definition = op_def_registry.get(name)
    return (
        definition is not None
        and not definition.is_stateful
        and name not in _STATELESS_BUT_NOT_PURE
    )
