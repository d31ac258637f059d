"""What a loaded denoiser asks of the arrays that it is called with."""

import numpy as np
import pytest

from kdiffusion.artifacts import ArtifactError, LoadedDenoiser, is_artifact, load_denoiser


@pytest.fixture
def denoiser(card, tmp_path):
    """Returns its inputs, to see what reaches the runtime."""
    return LoadedDenoiser(card, tmp_path / "none", lambda *arrays: arrays)


def test_the_runtime_sees_the_types_of_the_contract(denoiser):
    images, timesteps, labels = denoiser(
        np.zeros((2, 6, 4, 3)), np.array([0, 19]), np.array([0, 3], np.uint8)
    )
    assert (images.dtype, timesteps.dtype, labels.dtype) == (np.float32, np.int32, np.int32)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("noisy_images", lambda images, timesteps, labels: (images[0], timesteps, labels)),
        ("noisy_images", lambda images, timesteps, labels: (images[:, :3], timesteps, labels)),
        ("timesteps", lambda images, timesteps, labels: (images, timesteps[:1], labels)),
        ("timesteps", lambda images, timesteps, labels: (images, timesteps + 18, labels)),
        ("timesteps", lambda images, timesteps, labels: (images, timesteps * 1.0, labels)),
        ("labels", lambda images, timesteps, labels: (images, timesteps, labels + 1)),
        ("labels", lambda images, timesteps, labels: (images, timesteps, labels - 3)),
        ("labels", lambda images, timesteps, labels: (images, timesteps, labels[:, None])),
    ],
)
def test_other_shapes_and_numbers_are_refused(denoiser, name, spoil):
    arrays = np.zeros((2, 6, 4, 3), np.float32), np.array([1, 2]), np.array([2, 3])
    denoiser(*arrays)
    with pytest.raises(ValueError, match=f"`{name}` must.*Received: {name}"):
        denoiser(*spoil(*arrays))


def test_a_path_of_no_known_format_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.onnx does not exist"):
        load_denoiser(tmp_path / "nowhere.onnx")
    (tmp_path / "model.h5").write_bytes(b"x")
    for path in (tmp_path, tmp_path / "model.h5"):
        with pytest.raises(ArtifactError, match=r"denoiser\.onnx, .*saved_model") as error:
            load_denoiser(path)
        assert str(path) in str(error.value)


@pytest.mark.parametrize("folder", [".", "export"])
def test_a_run_or_its_export_folder_opens_its_onnx_file(toy, tmp_path, folder):
    (tmp_path / "config.json").write_text("{}")
    export = tmp_path / "export"
    export.mkdir()
    assert not is_artifact(tmp_path / folder)
    (export / "denoiser.onnx").write_bytes(toy.read_bytes())
    assert is_artifact(tmp_path / folder)
    assert load_denoiser(tmp_path / folder).path == export / "denoiser.onnx"


def test_a_file_is_recognised_by_its_path_as_a_text_too(toy, tmp_path):
    for path in (toy, str(toy)):
        assert is_artifact(path)
    assert not is_artifact(str(tmp_path / "none.onnx"))
