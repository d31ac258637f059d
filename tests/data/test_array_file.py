"""An array in its file is the array: every kind of index, and what is no such file."""

import numpy as np
import pytest

from kdiffusion.data.array_file import ArrayFile, create, write_rows


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(0, 256, (37, 3, 5, 2), np.uint8)


@pytest.fixture
def file(array, tmp_path):
    np.save(tmp_path / "x.npy", array)
    return ArrayFile(tmp_path / "x.npy")


@pytest.mark.parametrize(
    "rows",
    [
        0,
        -1,
        np.int64(5),
        slice(None),
        slice(3, 9),
        slice(30, 99),
        slice(9, 3),
        slice(None, None, -4),
        [7, 8, 9, 2, 2, 36, -1],
        np.array([], int),
        np.array([[0, 1], [36, 3]]),
        np.arange(37) % 3 == 0,
    ],
)
def test_rows_are_those_of_the_array(array, file, rows):
    np.testing.assert_array_equal(file[rows], array[rows])


def test_it_has_the_shape_of_the_array_and_becomes_one(array, file):
    assert (file.shape, file.dtype, file.ndim, len(file)) == (array.shape, array.dtype, 4, 37)
    np.testing.assert_array_equal(np.asarray(file), array)


@pytest.mark.parametrize("rows", [37, -38, [0, 37], 1.5, ["x"]])
def test_rows_that_are_not_there_are_refused(file, rows):
    with pytest.raises(IndexError, match="rows must"):
        file[rows]


def test_rows_that_are_written_are_read_and_the_rest_is_zero(array, tmp_path):
    path = tmp_path / "made.npy"
    create(path, array.shape, np.uint8)
    write_rows(path, 30, array[30:])
    write_rows(path, 0, array[:10])
    expected = array.copy()
    expected[10:30] = 0
    np.testing.assert_array_equal(np.load(path), expected)
    for first, rows in [(31, array[30:]), (-1, array[:1]), (0, array[:1, :2])]:
        with pytest.raises(ValueError, match="do not fit"):
            write_rows(path, first, rows)


def test_what_is_no_whole_array_is_refused(array, tmp_path):
    path = tmp_path / "x.npy"
    with pytest.raises(ValueError, match="cannot be read as an array"):
        ArrayFile(path)
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match="cannot be read as an array"):
        ArrayFile(path)
    np.save(path, array)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match="must hold an array in C order, whole"):
        ArrayFile(path)
    np.save(path, np.asfortranarray(array))
    with pytest.raises(ValueError, match="must hold an array in C order"):
        ArrayFile(path)
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="must hold an array"):
        ArrayFile(path)
