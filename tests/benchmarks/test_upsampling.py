"""What is measured of enlarged images, by a model that is bicubic interpolation."""

import re

from PIL import Image

from benchmarks.upsampling import main
from tests.data.made_up import random_pixels, write_folder
from tests.onnx_models import write_upsampler


def test_bicubic_interpolation_measures_as_itself_and_photos_as_perfect(
    make_card, tmp_path, capsys
):
    card = make_card(steps=1, sampler="ddim")
    model = write_upsampler(tmp_path / "upsampler.onnx", card, (64, 64, 3))
    blocks = random_pixels(3, (16, 16, 3)).repeat(4, axis=1).repeat(4, axis=2)
    photos = write_folder(tmp_path / "photos", {f"{i}.png": each for i, each in enumerate(blocks)})
    main(str(model), photos, steps=(2,), out=tmp_path / "sheet.png")
    rows = re.findall(r"\| (.+?) \| (.+) \|", capsys.readouterr().out)[1:]
    bicubic, ours, two_steps, real = ([float(word) for word in row.split(" | ")] for _, row in rows)
    assert ours == two_steps == bicubic
    assert bicubic[0] < 30
    assert bicubic[1] > 0
    assert (real[1], real[3]) == (0, 0)
    assert real[2] < bicubic[2]
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 8 * 64
