"""Opens a SavedModel by TensorFlow, without Keras; the card is in its `assets.extra/`.

A SavedModel is a program: TensorFlow runs functions of it as it opens, and has operations that
write files or run Python. So it is opened only for those who say that they trust it.
"""

from pathlib import Path

from kdiffusion.terminal import import_tensorflow

from .integrity import ArtifactError, Opened, card_from_text, check_seal

ARTIFACT = "saved_model"
SIGNATURE = "serving_default"  # what TensorFlow Serving answers to when a request names none
# The folder that SavedModel reserves for files that TensorFlow itself does not read.
CARD_PATH = Path("assets.extra", "denoiser_card.json")
SEAL_PATH = Path("assets.extra", "denoiser_seal.txt")
# Not what a server is given beside the card, nor fingerprint.pb.
CONTENTS = ("saved_model.pb", "variables/*", str(CARD_PATH), str(SEAL_PATH))


def recognises(path: Path) -> bool:
    """Whether `path` looks like a SavedModel: a folder with a saved_model.pb."""
    return (path / "saved_model.pb").is_file()


def load(path: Path, trust: bool = False) -> Opened:
    """Opens a SavedModel by TensorFlow.

    Args:
        path: path of the folder.
        trust: bool. Whether its code may run. Defaults to `False`.

    Raises:
        ArtifactError: it isn't trusted, is damaged, or has no usable card.
    """
    if not trust:
        raise ArtifactError(
            f"{path} is a SavedModel, which can run any code. Use the denoiser.onnx of the same "
            "run, or, if you trust this file, `--trust` (trust=True)"
        )
    check_seal(path, CONTENTS)
    card_path = path / CARD_PATH
    card = card_from_text(card_path.read_bytes() if card_path.is_file() else None, path)
    tf = import_tensorflow()
    model = tf.saved_model.load(str(path))

    def run(**arrays):
        tensors = {name: tf.constant(array) for name, array in arrays.items()}
        (output,) = model.signatures[SIGNATURE](**tensors).values()
        return output.numpy()

    return run, card
