"""ONNX, for ONNX Runtime on any machine or in a browser: one file, the card in its metadata.

Inside this file `import onnx` is the package, not this module: imports of this folder are relative.
Run its commands with `python -m export`, never as scripts, which would put this folder first.
"""

import os
from pathlib import Path

from .denoiser import (
    INPUT_NAMES,
    OUTPUT_NAME,
    ArtefactError,
    card_from_text,
    check_last_label,
    check_names,
    check_shape,
    one_image,
    opened,
)
from .inference import serving_function
from .seal import UNSEALED, check_seal
from .self_check import SELF_CHECK_KEY, check_runtime, example_inputs, golden_text

ARTEFACT = "denoiser.onnx"
PARTS = ()  # one file
ours = None
TOLERANCE = 1e-4  # from the live network, any predicted number
# The newest that tf2onnx writes; ONNX Runtime reads it since 1.14 (2023), in the browser too.
OPSET = 18
CARD_KEY = "kdiffusion.card"
SEAL_KEY = "kdiffusion.seal"


def recognises(path):
    """Whether `path` looks like an ONNX file: its name ends in .onnx."""
    return path.is_file() and path.suffix == ".onnx"


def write(source, path):
    """Writes the ONNX graph of a network with its card.

    Args:
        source: ExportSource.
        path: Path. The file to make.

    Raises:
        ArtefactError: as `convert`.
    """
    save(source.onnx_model, source.card, path)


def save(model, card, path):
    """Writes an ONNX graph with its golden predictions, those of this very graph.

    Args:
        model: onnx.ModelProto. It is not changed.
        card: DenoiserCard.
        path: Path. The file to make.
    """
    import onnx
    import onnxruntime

    graph = model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1  # the same sums in the same order: the same file every time
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    golden = golden_text(session.run([OUTPUT_NAME], example_inputs(card))[0])
    entry = onnx.StringStringEntryProto(key=SELF_CHECK_KEY, value=golden)
    # Protocol buffers one after another are one, with the lists of both.
    path.write_bytes(graph + onnx.ModelProto(metadata_props=[entry]).SerializeToString())


def convert(network, card):
    """Converts a float32 network by tf2onnx.

    Args:
        network: keras.Model on a dictionary of the contract's inputs.
        card: DenoiserCard.

    Returns:
        onnx.ModelProto, with the card.

    Raises:
        ArtefactError: the conversion left inputs or outputs that are not the contract's, or a graph
            that `onnx.checker` refuses.
    """
    import onnx
    import tf2onnx

    from .onnx_graph import simplify
    from .onnx_names import with_canonical_names

    # Otherwise it copies the whole graph, weights included, before each of its optimisers, in case
    # one fails: half of the time of an export. Here a failure fails the export.
    os.environ.setdefault("TF2ONNX_CATCH_ERRORS", "FALSE")
    serve, signature = serving_function(network, card.image_shape)
    model, _ = tf2onnx.convert.from_function(serve, signature, opset=OPSET)
    _name_batch(model.graph)
    model = with_canonical_names(simplify(model))
    check_names("inputs", [value.name for value in model.graph.input], INPUT_NAMES, ARTEFACT)
    check_names("outputs", [value.name for value in model.graph.output], [OUTPUT_NAME], ARTEFACT)
    onnx.helper.set_model_props(model, {CARD_KEY: card.to_json(), SEAL_KEY: UNSEALED})
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ArtefactError(f"{ARTEFACT} is not a valid ONNX graph: {error}") from error
    return model


def _name_batch(graph):
    # One name for one size: the converter gives each input an unknown dimension of its own.
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def load(path):
    """Opens an ONNX file by ONNX Runtime alone.

    Args:
        path: path of the file.

    Returns:
        LoadedDenoiser.

    Raises:
        ArtefactError: a file that is damaged, has no usable card, or has other inputs.
    """
    path = Path(path)
    run, card = open_graph(path, INPUT_NAMES, OUTPUT_NAME, one_image)

    def predict(noisy_images, timesteps, labels):
        return run(noisy_image=noisy_images, timestep=timesteps, label=labels)

    return opened(card, path, predict)


def open_graph(path, input_names, output_name, one_image):
    """What an ONNX file of this project computes, and its card.

    Args:
        path: Path of the file.
        input_names: names that its inputs must have.
        output_name: str. The name of its output.
        one_image: callable from the card and a label to arrays for its inputs, in the order of
            `input_names`.

    Returns:
        (callable on NumPy arrays by name, DenoiserCard).

    Raises:
        ArtefactError: as `load`.
    """
    import onnxruntime

    check_seal(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only; what matters is raised
    try:
        session = onnxruntime.InferenceSession(path, options, providers=_providers(onnxruntime))
        metadata = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise ArtefactError(f"{path} cannot be read as a whole ONNX file: {error}") from error
    check_names("inputs", [value.name for value in session.get_inputs()], input_names, path)
    check_names("outputs", [value.name for value in session.get_outputs()], [output_name], path)
    card = card_from_text(metadata.get(CARD_KEY), path)
    shapes = {value.name: value.shape for value in session.get_inputs()}
    check_shape(card, shapes[input_names[0]], path)

    quiet = onnxruntime.RunOptions()
    quiet.log_severity_level = 4  # an error is raised; it isn't printed as well

    def run(**arrays):
        return session.run([output_name], arrays, quiet)[0]

    def run_label(label):
        return run(**dict(zip(input_names, one_image(card, label), strict=True)))

    check_last_label(card, path, run_label)
    runtime = f"ONNX Runtime on {session.get_providers()[0]}"
    check_runtime(metadata.get(SELF_CHECK_KEY), run, card, path, runtime)
    return run, card


def _providers(onnxruntime):
    """What ONNX Runtime may compute on: the GPU where it has one, and the processor."""
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return ["CPUExecutionProvider"]
    # TensorFloat-32 would move pictures by more than a level from those of other runtimes.
    return [("CUDAExecutionProvider", {"use_tf32": 0}), "CPUExecutionProvider"]
