"""The outlines that docs/conditions.md samples by."""

from examples.outlines import SHAPES, main
from kdiffusion.images import read_image


def test_each_shape_has_lines_on_black(tmp_path):
    main(tmp_path)
    outlines = [read_image(path) for path in tmp_path.iterdir()]
    assert len(outlines) == len(SHAPES)
    assert all(each.shape == (32, 32, 1) and 0.1 < (each > 60).mean() < 0.7 for each in outlines)
