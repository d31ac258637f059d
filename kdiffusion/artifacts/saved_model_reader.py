"""The serving function of a SavedModel and its weights, read without running any of the file.

A SavedModel is a program. TensorFlow's own loader runs functions of the file's as it opens it, and
TensorFlow has operations that write files, run Python, or run another graph that lies in a string.
Here the protocol buffer is read instead: the serving function, what it calls, and the numbers of
its weights. All else in the file is left alone. The function is of operations in `ALLOWED` alone.
"""

from __future__ import annotations

import graphlib
import itertools
from pathlib import Path

from kdiffusion.tensorflow_start import import_tensorflow

from .denoiser import ArtifactError
from .saved_model_labels import gathered_tables

# They compute numbers from numbers, or lead to other functions, which are looked at as well.
ALLOWED = {
    "Const", "Identity", "IdentityN", "NoOp", "Placeholder", "PlaceholderWithDefault",
    "PreventGradient", "StopGradient", "EnsureShape", "ReadVariableOp", "ResourceGather", "If",
    "PartitionedCall", "StatefulPartitionedCall", "StatelessIf", "StatelessWhile", "While",
    "Abs", "Add", "AddN", "AddV2", "Ceil", "Cos", "Cosh", "Div", "DivNoNan", "Elu", "Erf",
    "Erfc", "Exp", "Expm1", "Floor", "FloorDiv", "FloorMod", "LeakyRelu", "Log", "Log1p",
    "Maximum", "Minimum", "Mod", "Mul", "MulNoNan", "Neg", "Pow", "RealDiv", "Reciprocal",
    "Relu", "Relu6", "Rint", "Round", "Rsqrt", "Selu", "Sigmoid", "Sign", "Sin", "Sinh",
    "Softplus", "Softsign", "Sqrt", "Square", "SquaredDifference", "Sub", "Tan", "Tanh",
    "TruncateDiv", "TruncateMod", "Xdivy", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Equal",
    "Greater", "GreaterEqual", "IsFinite", "IsInf", "IsNan", "Less", "LessEqual", "LogicalAnd",
    "LogicalNot", "LogicalOr", "NotEqual", "Select", "SelectV2", "ClipByValue", "All", "Any",
    "ArgMax", "ArgMin", "Cumprod", "Cumsum", "LogSoftmax", "Max", "Mean", "Min", "Prod",
    "Softmax", "Sum", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "L2Loss",
    "MatMul", "AvgPool", "BiasAdd", "Conv2D", "Conv2DBackpropInput", "DepthwiseConv2dNative",
    "FusedBatchNormV3", "MaxPool", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor",
    "DepthToSpace", "SpaceToDepth", "BatchToSpaceND", "SpaceToBatchND", "BroadcastArgs",
    "BroadcastTo", "Cast", "Concat", "ConcatV2", "ExpandDims", "Fill", "Gather", "GatherNd",
    "GatherV2", "InvertPermutation", "MirrorPad", "OneHot", "OnesLike", "Pack", "Pad", "PadV2",
    "Range", "Rank", "Reshape", "ReverseV2", "Roll", "ScatterNd", "Shape", "ShapeN", "Size",
    "Slice", "Split", "SplitV", "Squeeze", "StridedSlice", "TensorScatterUpdate", "Tile",
    "Transpose", "Unpack", "Where", "ZerosLike",
}  # fmt: skip
_numbers = itertools.count()  # TensorFlow knows a function by its name, the whole process long


def read_signature(path: Path, signature: str) -> tuple:
    """The function that a SavedModel serves under a name.

    Args:
        path: Path of the folder.
        signature: str.

    Returns:
        (dict from the name of each input to a `tf.TensorSpec`, names of the outputs, callable on
        tensors by name that returns the only output, the numbers of rows of the tables that the
        input `label` chooses from).

    Raises:
        ArtifactError: a folder that is damaged, or that holds more than computations on weights.
    """
    tf = import_tensorflow()

    try:
        return _read_signature(tf, path, signature)
    except ArtifactError:
        raise
    except Exception as error:  # from IndexError to TensorFlow's own, by what is damaged
        raise ArtifactError(f"{path} cannot be read as a whole SavedModel: {error}") from error


def _read_signature(tf, path, signature):
    meta = _meta_graph(path)
    served = meta.signature_def.get(signature)
    objects = meta.object_graph_def
    name, node = _concrete_name(objects, signature), _node(objects, signature)
    if served is None or name is None or node is None:
        raise ArtifactError(f"{path} must serve {signature!r}, as TensorFlow 2 writes it")
    library = {function.signature.name: function for function in meta.graph_def.library.function}
    graph_def = _only_computing(path, library, name, meta.graph_def.versions)
    arguments = library[name].signature.input_arg
    bound = objects.concrete_functions[name].bound_inputs
    keywords = node.bare_concrete_function.argument_keywords
    if len(keywords) + len(bound) != len(arguments) or len(library[name].signature.output_arg) != 1:
        raise ArtifactError(f"{path} must serve a function of named inputs with one output")
    specs = {
        keyword: tf.TensorSpec(
            tf.TensorShape(served.inputs[keyword].tensor_shape), argument.type, keyword
        )
        for keyword, argument in zip(keywords, arguments, strict=False)
    }
    weights = _weights(tf, path, meta, bound)
    call = _call(tf, graph_def, library[name], weights, specs)
    indices = range(len(weights))
    sources = tuple(frozenset([each]) for each in (*keywords, *indices))
    tables = gathered_tables(library, name, sources, "label")
    chosen = [weights[i] for table in tables for i in table if len(table) == 1 and i in indices]
    rows = {weight.shape[0] for weight in chosen if weight.shape.rank == 2}
    return specs, list(served.outputs), call, rows


def _meta_graph(path):
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((path / "saved_model.pb").read_bytes())
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].object_graph_def.nodes:
        raise ArtifactError(f"{path} must hold one graph with objects, as TensorFlow 2 writes it")
    return saved.meta_graphs[0]


def _node(objects, signature):
    """The object of a served function; None if there is none of that name."""
    node = objects.nodes[0]
    for name in ("signatures", signature):
        found = [child.node_id for child in node.children if child.local_name == name]
        if len(found) != 1:
            return None
        node = objects.nodes[found[0]]
    return node


def _concrete_name(objects, signature):
    node = _node(objects, signature)
    return None if node is None else node.bare_concrete_function.concrete_function_name


def _only_computing(path, library, name, versions):
    """A GraphDef of a function and all that it calls, under new names; refused operations raise."""
    from tensorflow.core.framework import graph_pb2

    needed, waiting, refused = {}, [name], set()
    calls = {}
    suffix = f"_{next(_numbers)}"
    while waiting:
        function = waiting.pop()
        if function in needed:
            continue
        copy = type(library[function])()
        copy.CopyFrom(library[function])
        copy.signature.name += suffix
        copy.attr.clear()
        needed[function] = copy
        calls[function] = set()
        for node in copy.node_def:
            if node.op not in ALLOWED:
                refused.add(node.op)
            # Hints to the runtime, such as another function to take in this one's stead.
            for hint in [key for key in node.attr if key.startswith("_")]:
                del node.attr[hint]
            for attribute in node.attr.values():
                called = list(attribute.list.func)
                called += [attribute.func] if attribute.HasField("func") else []
                for reference in called:
                    waiting.append(reference.name)
                    calls[function].add(reference.name)
                    reference.name += suffix
    if refused:
        raise ArtifactError(
            f"{path} must only compute: it is not run, because it holds operations that exports "
            f"are not made of. Received: {', '.join(sorted(refused))}"
        )
    try:
        graphlib.TopologicalSorter(calls).prepare()
    except graphlib.CycleError as error:  # TensorFlow would call until the process dies
        raise ArtifactError(
            f"{path} has a function that calls itself: {error.args[1][0]}"
        ) from error
    graph_def = graph_pb2.GraphDef(versions=versions)
    graph_def.library.function.extend(needed.values())
    return graph_def


def _weights(tf, path, meta, bound):
    """What a function is bound to, by the numbers of its objects: variables and constants."""
    nodes = meta.object_graph_def.nodes
    kinds = {nodes[number].WhichOneof("kind") for number in bound}
    if kinds - {"variable", "constant"}:
        raise ArtifactError(
            f"{path} must compute from its weights alone. "
            f"Received: {', '.join(sorted(map(str, kinds - {'variable', 'constant'})))}"
        )
    reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    keys = _checkpoint_keys(reader, nodes)
    constants = {node.name: node for node in meta.graph_def.node if node.op == "Const"}
    values = []
    for number in bound:
        node = nodes[number]
        if node.WhichOneof("kind") == "constant":
            tensor = constants[node.constant.operation].attr["value"].tensor
            values.append(tf.constant(tf.make_ndarray(tensor)))
            continue
        value = reader.get_tensor(keys[number])
        shape = tuple(dimension.size for dimension in node.variable.shape.dim)
        if value.shape != shape or value.dtype != tf.as_dtype(node.variable.dtype).as_numpy_dtype:
            raise ArtifactError(
                f"{path} must have weights of the shapes in its graph: {node.variable.name} is "
                f"{shape} there. Received: {value.dtype} {value.shape}"
            )
        values.append(tf.Variable(value, trainable=False))
    return values


def _checkpoint_keys(reader, nodes):
    """Number of an object in the graph ► its key in the checkpoint, by the names on the way."""
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    stored = trackable_object_graph_pb2.TrackableObjectGraph()
    stored.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    pairs, waiting = {0: 0}, [0]
    while waiting:
        number = waiting.pop()
        there = {child.local_name: child.node_id for child in stored.nodes[pairs[number]].children}
        for child in nodes[number].children:
            if child.local_name in there and child.node_id not in pairs:
                pairs[child.node_id] = there[child.local_name]
                waiting.append(child.node_id)
    return {
        number: attribute.checkpoint_key
        for number, other in pairs.items()
        for attribute in stored.nodes[other].attributes
    }


def _call(tf, graph_def, function, weights, specs):
    """A `tf.function` on keyword tensors that calls a function of `graph_def`."""
    from tensorflow.python.eager import context

    arguments = [(f"argument_{i}", a.type) for i, a in enumerate(function.signature.input_arg)]
    call = graph_def.node.add(name="call", op="StatefulPartitionedCall")
    for name, dtype in arguments:
        graph_def.node.add(name=name, op="Placeholder").attr["dtype"].type = dtype
        call.input.append(name)
        call.attr["Tin"].list.type.append(dtype)
    call.attr["Tout"].list.type.append(function.signature.output_arg[0].type)
    call.attr["f"].func.name = graph_def.library.function[0].signature.name

    # Not by tf.function: it takes in the functions of its own making alone.
    for definition in graph_def.library.function:
        context.context().add_function_def(definition)

    @tf.function(autograph=False)
    def serve(**inputs):
        capture = tf.compat.v1.get_default_graph().capture
        bound = [capture(w.handle if isinstance(w, tf.Variable) else w) for w in weights]
        tensors = [*(inputs[keyword] for keyword in specs), *bound]
        feeds = {name: tensor for (name, _), tensor in zip(arguments, tensors, strict=True)}
        (output,) = tf.graph_util.import_graph_def(
            graph_def, input_map=feeds, return_elements=["call:0"], name=""
        )
        return output

    return serve.get_concrete_function(**specs)  # pyright: ignore[reportFunctionMemberAccess]
