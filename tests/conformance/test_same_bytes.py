"""An export of the same weights is the same file, byte for byte, in any process."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

_EXPORT = """
import sys
import numpy as np
from kdiffusion.export import export_network
from kdiffusion.export.whole_sampler import export_sampler
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.networks.unet import UNet

card = DenoiserCard.from_json(open(sys.argv[1]).read())
for _ in range(int(sys.argv[3])):  # what else the process has made
    UNet(card.image_shape, 3, 8, (1,), 1, ())
options = {"attention_heads": 2, "scale_shift": True}
network = UNet(card.image_shape, 3, 8, (1, 2), 1, (3,), **options)
random = np.random.default_rng(0)
network.set_weights([0.1 * random.standard_normal(w.shape) for w in network.get_weights()])
onnx = ["onnx", "onnx_float16", "onnx_int8"]
formats = [*onnx, "saved_model", "openvino", "litert", "safetensors", "safetensors_float16"]
export_network(network, card, sys.argv[2], formats)
export_sampler(network, card, sys.argv[2], steps=2, formats=["onnx", "saved_model"])
"""


def test_files_are_the_same_bytes_in_another_process(card, tmp_path):
    (tmp_path / "card.json").write_text(card.to_json())
    files = {}
    for name, others in (("first", 0), ("second", 3)):
        arguments = [tmp_path / "card.json", tmp_path / name, str(others)]
        subprocess.run([sys.executable, "-c", _EXPORT, *arguments], check=True)
        files[name] = {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
    # A SavedModel: graph, index and data of the weights, card, seal; a sampler's own facts.
    assert len(files["first"]) == 9 + 5 + 6
    assert [n for n in files["first"] if files["first"][n] != files["second"][n]] == []
