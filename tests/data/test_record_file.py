"""Rows in their file are the array's: every kind of index, TFRecord's own readers, no such file."""

import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.data.record_file import RecordFile, create, write_rows


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(0, 256, (37, 3, 5, 2), np.uint8)


@pytest.fixture
def file(array, tmp_path):
    path = tmp_path / "x.tfrecord"
    create(path, array.shape)
    write_rows(path, 0, array)
    return RecordFile(path, array.shape)


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


def test_the_file_is_the_one_that_tensorflow_writes(array, file, tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "y.tfrecord")) as writer:
        for row in array:
            writer.write(row.tobytes())
    assert file.path.read_bytes() == (tmp_path / "y.tfrecord").read_bytes()


@pytest.mark.parametrize("rows", [37, -38, [0, 37], 1.5, ["x"]])
def test_rows_that_are_not_there_are_refused(file, rows):
    with pytest.raises(IndexError, match="rows must"):
        file[rows]


def test_rows_that_are_written_are_read_and_the_rest_is_refused(array, tmp_path):
    path = tmp_path / "made.tfrecord"
    create(path, array.shape)
    write_rows(path, 30, array[30:])
    write_rows(path, 0, array[:10])
    made = RecordFile(path, array.shape)
    np.testing.assert_array_equal(
        made[[*range(10), *range(30, 37)]], array[[*range(10), *range(30, 37)]]
    )
    with pytest.raises(ValueError, match=r"made\.tfrecord: record 10 is damaged"):
        made[:]
    for first, rows in [(31, array[30:]), (-1, array[:1]), (0, array[:1, :2])]:
        with pytest.raises(ValueError, match="do not fit"):
            write_rows(path, first, rows)


@pytest.mark.parametrize("byte", [0, 9, 12, 41, 42, 45])  # length, its checksum, content, checksum
def test_a_byte_that_changed_is_found_and_its_record_named(array, file, byte):
    content = bytearray(file.path.read_bytes())
    content[7 * file.record_bytes + byte] ^= 1
    file.path.write_bytes(content)
    np.testing.assert_array_equal(file[8:], array[8:])
    for rows in (7, slice(None), [36, 7], [[1, 2], [7, 8]]):
        with pytest.raises(ValueError, match=r"x\.tfrecord: record 7 is damaged"):
            file[rows]


def test_a_file_of_another_size_is_refused(array, file, tmp_path):
    with pytest.raises(ValueError, match=r"none\.tfrecord cannot be read"):
        RecordFile(tmp_path / "none.tfrecord", array.shape)
    with pytest.raises(ValueError, match=r"must hold 36 records of 46 bytes, 1656 in all"):
        RecordFile(file.path, (36, 3, 5, 2))
    file.path.write_bytes(file.path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="Received: 1701 bytes"):
        RecordFile(file.path, array.shape)
