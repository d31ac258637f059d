import numpy as np
import pytest
from PIL import Image

from kdiffusion.commands.train_judge import main


def test_a_judge_of_one_class_is_refused_before_it_is_trained(tmp_path):
    (tmp_path / "images" / "cat").mkdir(parents=True)
    for name in range(8):
        pixels = np.full((8, 8, 3), 20 * name, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / "cat" / f"{name}.png")
    with pytest.raises(ValueError, match=r"`data` must have two classes at least.* 1$"):
        main(str(tmp_path / "images"), out=tmp_path / "judge.onnx")
    assert not (tmp_path / "judge.onnx").exists()
