"""A job is cut alike for whoever draws it, and nothing of it is left out."""

import itertools

import numpy as np
import pytest

from kdiffusion.commands.shards import (
    file_name,
    files_of_shard,
    labels_of_seeds,
    part_of_shard,
    seeds_from_text,
    shard_from_text,
)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 30])
@pytest.mark.parametrize("images_per_file", [1, 7, 10, 100])
def test_the_shards_together_are_the_job_and_share_nothing(count, images_per_file):
    seeds = range(5, 105)
    shards = [files_of_shard(seeds, images_per_file, (k, count)) for k in range(1, count + 1)]
    files = sorted(itertools.chain(*shards), key=lambda file: file[0])
    assert list(itertools.chain(*files)) == list(seeds)
    assert {len(file) for file in files[:-1]} <= {images_per_file}
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    # The same files whoever draws them, so that a job can go on with another number of machines.
    assert files == files_of_shard(seeds, images_per_file, (1, 1))


@pytest.mark.parametrize("shard", [(1, 1), (2, 3)])
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_the_parts_of_a_shard_are_the_shard(shard, parts):
    cut = [
        files_of_shard(range(103), 4, part_of_shard(shard, part, parts)) for part in range(parts)
    ]
    whole = files_of_shard(range(103), 4, shard)
    assert sorted(itertools.chain(*cut), key=lambda file: file[0]) == whole


def test_a_huge_job_is_cut_without_listing_its_seeds():
    seeds = seeds_from_text(f"0:{2**64}")
    files = files_of_shard(seeds, 2**60, (2, 8))
    assert [file[0] for file in files] == [2**60, 9 * 2**60]


def test_file_names_sort_as_their_seeds():
    names = [file_name(range(first, first + 10)) for first in (0, 90, 1000, 12345678)]
    assert names == sorted(names)
    assert names[0] == "images_00000000-00000009.npz"


@pytest.mark.parametrize(
    "text", ["", "5", "5:", ":5", "5:5", "6:5", "-1:5", "0:5:2", "a:b", "1.5:3"]
)
def test_what_is_no_range_of_seeds_is_refused(text):
    with pytest.raises(ValueError, match="`seeds` must be FIRST:END"):
        seeds_from_text(text)


def test_seeds_that_the_noise_cannot_have_are_refused():
    with pytest.raises(ValueError, match="2\\^64"):
        seeds_from_text(f"0:{2**64 + 1}")


@pytest.mark.parametrize("text", ["", "1", "0/8", "9/8", "1/0", "-1/8", "2/", "1/2/3"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ValueError, match="`shard` must be auto, or K/N"):
        shard_from_text(text)


def test_the_label_of_a_seed_does_not_depend_on_where_the_job_begins():
    whole = labels_of_seeds([4, 7, 1], range(0, 30))
    np.testing.assert_array_equal(labels_of_seeds([4, 7, 1], range(10, 30)), whole[10:])
