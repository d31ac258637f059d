"""SavedModel, for TensorFlow Serving and TensorFlow: a folder, the card in `assets.extra/`."""

from pathlib import Path

from .denoiser import (
    INPUT_NAMES,
    OUTPUT_NAME,
    card_from_text,
    check_label_rows,
    check_names,
    check_shape,
    import_runtime,
    opened,
)
from .inference import serving_function
from .saved_model_reader import read_signature
from .seal import UNSEALED, check_seal

ARTEFACT = "saved_model"
TOLERANCE = 1e-4  # from the live network, any predicted number
SIGNATURE = "serving_default"  # what TensorFlow Serving answers to when a request names none
# The folder that SavedModel reserves for files that TensorFlow itself does not read.
CARD_PATH = Path("assets.extra", "denoiser_card.json")
SEAL_PATH = Path("assets.extra", "denoiser_seal.txt")
# Not fingerprint.pb, which TensorFlow does without, nor what a server is given beside the card.
PARTS = ("saved_model.pb", "variables/*", str(CARD_PATH), str(SEAL_PATH))


# All that a folder may hold that an export replaces.
_FILES = (
    r"(saved_model|fingerprint)\.pb|variables/variables\.(index|data-\d+-of-\d+)"
    r"|assets\.extra/(denoiser_card\.json|denoiser_seal\.txt|sampler\.json)"
)


def ours(path):
    """What a folder may hold that an export replaces; None if no card is in it.

    By the card's look: an export of another version, or a damaged one, is one too.
    """
    card = path / CARD_PATH
    is_ours = card.is_file() and b'"alphas_cumprod"' in card.read_bytes()
    return _FILES if is_ours else None


def recognises(path):
    """Whether `path` looks like a SavedModel: a folder with a saved_model.pb."""
    return (path / "saved_model.pb").is_file()


def write(source, path):
    """Writes a network as a SavedModel with one signature, `serving_default`.

    Args:
        source: ExportSource.
        path: Path. The folder to make.
    """
    serve, _ = serving_function(source.network, source.card.image_shape)
    write_signature(source, serve, path)


def write_signature(source, serve, path):
    """Writes a function of the network as a SavedModel, with the card and a place for the seal.

    Args:
        source: ExportSource. Its network's weights are those that `serve` uses.
        serve: tf.function with an input signature, or a concrete one.
        path: Path. The folder to make.

    Raises:
        OSError: the files could not be written.
    """
    import tensorflow as tf

    module = tf.Module()
    # A module, not the Keras model: the folder must load where Keras is not installed.
    module.weights = [variable.value for variable in source.network.weights]
    try:
        tf.saved_model.save(module, str(path), signatures={SIGNATURE: serve})
    except tf.errors.OpError as error:
        raise OSError(f"{path.name} could not be written: {error.message}") from error
    (path / CARD_PATH).parent.mkdir()
    (path / CARD_PATH).write_text(source.card.to_json(), encoding="utf-8")
    (path / SEAL_PATH).write_text(UNSEALED, encoding="utf-8")


def load(path):
    """Opens a SavedModel by TensorFlow; Keras is not needed.

    Args:
        path: path of the folder.

    Returns:
        LoadedDenoiser.

    Raises:
        ArtefactError: a folder that is damaged, has no usable card, or has other inputs.
    """
    path = Path(path)
    serve, card = open_signature(path, INPUT_NAMES, OUTPUT_NAME)

    def predict(noisy_images, timesteps, labels):
        return serve(noisy_image=noisy_images, timestep=timesteps, label=labels)

    return opened(card, path, predict)


def open_signature(path, input_names, output_name):
    """The function that a SavedModel of this project serves, and its card.

    Args:
        path: Path of the folder.
        input_names: names that its inputs must have.
        output_name: str. The name of its output.

    Returns:
        (callable on NumPy arrays by name, DenoiserCard).

    Raises:
        ArtefactError: as `load`.
    """
    check_seal(path, PARTS)
    card_path = path / CARD_PATH
    card = card_from_text(card_path.read_bytes() if card_path.is_file() else None, path)
    tf = import_runtime("tensorflow", path, "tensorflow")
    specs, outputs, serve, label_rows = read_signature(path, SIGNATURE)
    check_names("inputs", list(specs), input_names, path)
    check_names("outputs", outputs, [output_name], path)
    check_shape(card, specs[input_names[0]].shape.as_list(), path)
    check_label_rows(card, label_rows, path)

    def run(**arrays):
        return serve(**{name: tf.constant(array) for name, array in arrays.items()}).numpy()

    return run, card
