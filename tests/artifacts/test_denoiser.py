"""What a denoiser asks of the arrays that it is called with."""

import numpy as np
import pytest

from kdiffusion.artifacts import ArtifactError, is_artifact, load_denoiser
from kdiffusion.diffusion.denoiser import NetworkDenoiser


@pytest.fixture
def denoiser(card):
    """Returns its inputs, to see what reaches the runtime."""
    return NetworkDenoiser(card, lambda *arrays: arrays)


@pytest.mark.parametrize(("name", "timestep", "label"), [("timesteps", 20, 0), ("labels", 0, 4)])
def test_numbers_that_some_runtimes_would_draw_from_are_refused(denoiser, name, timestep, label):
    with pytest.raises(ValueError, match=f"`{name}`"):
        denoiser(np.zeros((1, 6, 4, 3)), [timestep], [label])
    with pytest.raises(ValueError, match=f"`{name}`"):
        denoiser(np.zeros((1, 6, 4, 3)), [-1 if timestep else 0], [-1 if label else 0])


def test_a_batch_of_nothing_is_predicted_as_nothing(denoiser):
    assert denoiser(np.zeros((0, 6, 4, 3)), [], []).shape == (0, 6, 4, 3)


def test_a_path_of_no_known_format_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.onnx does not exist"):
        load_denoiser(tmp_path / "nowhere.onnx")
    with pytest.raises(ArtifactError, match=r"denoiser\.onnx, .*saved_model"):
        load_denoiser(tmp_path)


@pytest.mark.parametrize("folder", [".", "export"])
def test_a_run_or_its_export_folder_opens_its_onnx_file(toy, tmp_path, folder):
    (tmp_path / "config.json").write_text("{}")
    export = tmp_path / "export"
    export.mkdir()
    assert not is_artifact(tmp_path / folder)
    (export / "denoiser.onnx").write_bytes(toy.read_bytes())
    assert is_artifact(tmp_path / folder)
    assert load_denoiser(tmp_path / folder).path == export / "denoiser.onnx"
