"""What is exported: a file of weights gives the network that it was written from."""

import numpy as np
import pytest

from kdiffusion.artifacts import load_denoiser
from kdiffusion.export import export_network, export_run
from kdiffusion.export.verify import largest_deviation
from kdiffusion.networks import UNet

pytestmark = pytest.mark.slow


def test_of_a_file_of_weights_come_the_other_formats(card, tmp_path):
    network = UNet(card.image_shape, 3, 8, (1,), 1, ())
    rng = np.random.default_rng(0)
    network.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in network.get_weights()])
    weights = export_network(network, card, tmp_path, ["safetensors"])["safetensors"]
    paths = export_run(weights, ["onnx"])  # beside the file
    assert paths == {"onnx": tmp_path / "denoiser.onnx"}
    again = export_run(tmp_path, ["safetensors"], out=tmp_path / "again")  # of the folder
    for path in (paths["onnx"], again["safetensors"]):
        assert load_denoiser(path).card == card
        assert largest_deviation(network, load_denoiser(path)) < 1e-4


@pytest.mark.parametrize("source", ["digits", "hf://owner/name", "s3://bucket/run"])
def test_a_model_in_no_folder_of_the_users_needs_a_place(source):
    with pytest.raises(ValueError, match=f"`out` must be given.*{source}"):
        export_run(source)
