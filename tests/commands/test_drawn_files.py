"""Many images in files: what is drawn, by whom, and that nothing is mixed, lost or drawn twice."""

import dataclasses
import itertools
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kdiffusion.artifacts import LoadedDenoiser, load_denoiser
from kdiffusion.commands.drawn_files import draw_to_folder, read_file, read_folder
from kdiffusion.commands.shards import file_name
from kdiffusion.diffusion.sampling import sample
from kdiffusion.evaluation.image_sets import open_images
from kdiffusion.images import to_uint8

_QUICK = {"steps": 2, "guidance_strength": 0.0, "progress": False}


@pytest.fixture
def denoiser(toy):
    """The toy, loaded."""
    return load_denoiser(toy)


def test_every_seed_has_its_image_and_the_labels_take_turns(denoiser, tmp_path):
    options = {"sampler": "ddpm", "steps": 3, "guidance_strength": 0.5}
    drawn = draw_to_folder(
        denoiser, [2, 0], range(3, 14), tmp_path, images_per_file=4, batch_size=3,
        progress=False, **options,
    )  # fmt: skip
    assert drawn == (11, 0)
    images, labels, seeds = map(np.concatenate, zip(*read_folder(tmp_path), strict=True))
    assert seeds.tolist() == list(range(3, 14))
    assert labels.tolist() == [0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0]  # even seeds have the first label
    expected = sample(denoiser, labels, range(3, 14), progress=False, **options)
    np.testing.assert_array_equal(images, to_uint8(expected))


def test_finished_files_are_not_drawn_again(denoiser, tmp_path):
    arguments = ([0], range(20), tmp_path)
    part = draw_to_folder(denoiser, *arguments, images_per_file=5, shard=(2, 3), **_QUICK)
    assert part == (5, 0)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert draw_to_folder(denoiser, *arguments, images_per_file=5, **_QUICK) == (15, 5)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert draw_to_folder(denoiser, *arguments, images_per_file=5, **_QUICK) == (0, 20)
    # A longer range of the same job goes on where this one ended.
    arguments = ([0], range(30), tmp_path)
    assert draw_to_folder(denoiser, *arguments, images_per_file=5, **_QUICK) == (10, 20)


def test_stopped_in_the_middle_it_leaves_whole_files_and_goes_on(denoiser, tmp_path):
    calls = itertools.count()

    def stops(noisy_images, timesteps, labels):
        if next(calls) == 6:
            raise KeyboardInterrupt
        return denoiser.predict(noisy_images, timesteps, labels)

    stopping = LoadedDenoiser(denoiser.card, denoiser.path, stops)
    folder = tmp_path / "many"
    arguments = ([0, 1], range(20), folder)
    with pytest.raises(KeyboardInterrupt):
        draw_to_folder(stopping, *arguments, images_per_file=5, **_QUICK)
    files = sorted(path.name for path in folder.iterdir())
    assert files == [file_name(range(0, 5)), file_name(range(5, 10))]
    assert draw_to_folder(denoiser, *arguments, images_per_file=5, **_QUICK) == (10, 10)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0], {"steps": 3}, "steps was 2, now 3"),
        ([0], {"sampler": "heun"}, "sampler was ddim, now heun"),
        ([0], {"guidance_interval": (0.2, 3.0)}, "guidance_interval was None, now"),
        ([0], {"dynamic_threshold": 0.9}, "dynamic_threshold"),
        ([1], {}, "labels"),
        ([0] * 1000, {}, r"labels was \[0\], now \[[0 ,]{79}…\. Choose"),
    ],
)
def test_images_of_other_settings_are_not_mixed_in(denoiser, tmp_path, labels, options, message):
    folder, seeds = tmp_path / "many", range(6)
    draw_to_folder(denoiser, [0], seeds, folder, images_per_file=3, **_QUICK)
    choices = {**_QUICK, **options}
    with pytest.raises(ValueError, match=message):
        draw_to_folder(denoiser, labels, seeds, folder, images_per_file=3, **choices)
    drawn = draw_to_folder(
        denoiser, labels, seeds, folder, images_per_file=3, overwrite=True, **choices
    )
    assert drawn == (6, 0)
    assert draw_to_folder(denoiser, labels, seeds, folder, images_per_file=3, **choices) == (0, 6)


def test_a_folder_never_holds_images_of_two_jobs(denoiser, tmp_path):
    draw_to_folder(denoiser, [0], range(6), tmp_path, images_per_file=3, **_QUICK)
    other = {**_QUICK, "steps": 3}
    message = r"00000000-00000002\.npz is of another job: steps was 2, now 3.*remove it"
    for seeds, shard in ((range(6, 9), (1, 1)), (range(9), (3, 3))):
        with pytest.raises(ValueError, match=message):
            draw_to_folder(denoiser, [0], seeds, tmp_path, images_per_file=3, shard=shard, **other)
    # Other labels for other seeds are no other job.
    draw_to_folder(denoiser, [1], range(6, 9), tmp_path, images_per_file=3, **_QUICK)
    assert open_images(tmp_path).labels.tolist() == [0] * 6 + [1] * 3
    # An overwriting that was cut short leaves files of both; they are not measured together.
    with np.load(tmp_path / file_name(range(3))) as arrays:
        spoilt = {**arrays, "prediction": arrays["prediction"] + 1}
    np.savez_compressed(tmp_path / file_name(range(3)), **spoilt)
    with pytest.raises(ValueError, match=r"does not belong with images_.*by another network"):
        open_images(tmp_path)


def test_what_the_card_recommends_is_the_same_job_said_or_not(denoiser, tmp_path):
    said = {"sampler": "ddim", "steps": 5, "guidance_strength": 1.0, "progress": False}
    draw_to_folder(denoiser, [0], range(3), tmp_path, **said)
    assert draw_to_folder(denoiser, [0], range(3), tmp_path, progress=False) == (0, 3)


def test_another_network_is_noticed_and_another_machine_is_not(denoiser, tmp_path):
    def off_by(amount):
        def predict(noisy_images, timesteps, labels):
            return denoiser.predict(noisy_images, timesteps, labels) + np.float32(amount)

        return LoadedDenoiser(denoiser.card, denoiser.path, predict)

    draw_to_folder(denoiser, [0], range(3), tmp_path, **_QUICK)
    assert draw_to_folder(off_by(1e-4), [0], range(3), tmp_path, **_QUICK) == (0, 3)
    with pytest.raises(ValueError, match="another network"):
        draw_to_folder(off_by(0.01), [0], range(3), tmp_path, **_QUICK)


@pytest.mark.parametrize(
    ("seeds", "images_per_file"),
    [(range(20), 4), (range(18), 5), (range(1, 21), 5), (range(3, 5), 5), (range(5, 40), 10)],
)
def test_files_cut_otherwise_are_refused(denoiser, tmp_path, seeds, images_per_file):
    draw_to_folder(denoiser, [0], range(20), tmp_path, images_per_file=5, **_QUICK)
    cut = {"images_per_file": images_per_file, **_QUICK}
    for overwrite in (False, True):  # which would leave them beside the new ones
        with pytest.raises(ValueError, match="cut otherwise"):
            draw_to_folder(denoiser, [0], seeds, tmp_path, overwrite=overwrite, **cut)


def test_a_job_beside_another_of_other_seeds_is_welcome(denoiser, tmp_path):
    draw_to_folder(denoiser, [0], range(20), tmp_path, images_per_file=5, **_QUICK)
    assert draw_to_folder(denoiser, [0], range(20, 23), tmp_path, **_QUICK) == (3, 0)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_file_is_named(denoiser, tmp_path, damage):
    draw_to_folder(denoiser, [0], range(6), tmp_path, **_QUICK)
    path = tmp_path / file_name(range(6))
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[: len(data) - 200] = bytes(len(data) - 200)
    path.write_bytes({"cut": data[:-30], "flip": data, "empty": b""}[damage])
    with pytest.raises(ValueError, match=f"{path.name} is not a whole file"):
        draw_to_folder(denoiser, [0], range(6), tmp_path, **_QUICK)
    with pytest.raises(ValueError, match=f"{path.name} is not a whole file"):
        list(read_folder(tmp_path))


def test_a_damaged_file_of_another_shard_is_named_by_who_shares_the_job(denoiser, tmp_path):
    options = {"images_per_file": 5, **_QUICK}
    draw_to_folder(denoiser, [0], range(20), tmp_path, **options)
    path = tmp_path / file_name(range(15, 20))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=f"{path.name} is not a whole file"):
        draw_to_folder(denoiser, [0], range(20), tmp_path, shard=(1, 2), claim=True, **options)


def test_a_file_of_which_the_images_alone_are_damaged_is_not_done(denoiser, tmp_path):
    """The settings, all that a finished file was once asked for, are whole in it."""
    draw_to_folder(denoiser, [0], range(6), tmp_path, **_QUICK)
    path = tmp_path / file_name(range(6))
    data = bytearray(path.read_bytes())
    data[120] ^= 255  # of the first array, `images`
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"{path.name} is not a whole file.*Remove it"):
        draw_to_folder(denoiser, [0], range(6), tmp_path, **_QUICK)


@pytest.mark.parametrize("name", ["images", "labels", "seeds"])
def test_a_file_with_other_arrays_is_not_done(denoiser, tmp_path, name):
    draw_to_folder(denoiser, [0, 1], range(6), tmp_path, **_QUICK)
    path = tmp_path / file_name(range(6))
    with np.load(path) as file:
        arrays = dict(file)
    arrays[name] = arrays[name][:-1] if name == "images" else arrays[name][::-1]
    np.savez_compressed(path, **arrays)
    with pytest.raises(ValueError, match=path.name):
        draw_to_folder(denoiser, [0, 1], range(6), tmp_path, **_QUICK)


@pytest.mark.parametrize(
    "name",
    ["images_00000009-00000000.npz", "images_0-5.npz", "images_-.npz", "images_a-b.npz",
     "images_00000000-00000005 (1).npz", "images_٠٠٠٠٠٠٠٠-٠٠٠٠٠٠٠٥.npz"],
)  # fmt: skip
def test_names_that_no_file_of_ours_has_are_passed_over(denoiser, tmp_path, name):
    (tmp_path / name).write_bytes(b"somebody else's")
    assert draw_to_folder(denoiser, [0], range(6), tmp_path, **_QUICK) == (6, 0)
    assert sum(len(images) for images, _, _ in read_folder(tmp_path)) == 6
    assert (tmp_path / name).read_bytes() == b"somebody else's"


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no images"):
        next(read_folder(tmp_path))


@pytest.mark.parametrize("options", [{"steps": 0}, {"batch_size": 0}, {"images_per_file": 0}])
def test_a_choice_that_cannot_be_leaves_no_folder(denoiser, tmp_path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        draw_to_folder(denoiser, [0], range(6), tmp_path / "many", **{**_QUICK, **options})
    assert not (tmp_path / "many").exists()


def test_a_bar_counts_images(denoiser, tmp_path, capsys):
    draw_to_folder(denoiser, [0], range(7), tmp_path, images_per_file=3, steps=3, batch_size=2)
    assert "7/7 images" in capsys.readouterr().err


def test_memory_does_not_grow_with_the_number_of_images(denoiser, tmp_path):
    largest = []

    def watching(noisy_images, timesteps, labels):
        largest.append(len(noisy_images))
        return denoiser.predict(noisy_images, timesteps, labels)

    watched = dataclasses.replace(denoiser, predict=watching)
    draw_to_folder(watched, [0], range(50), tmp_path, images_per_file=10, batch_size=4, **_QUICK)
    assert max(largest) == 4
    assert all(len(images) == 10 for images, _, _ in read_folder(tmp_path))


def test_with_claims_one_worker_draws_all_parts_its_own_first(denoiser, tmp_path):
    order = []

    def noting(noisy_images, timesteps, labels):
        order.append(len(list(tmp_path.glob(".images*.claim"))))
        return denoiser.predict(noisy_images, timesteps, labels)

    watched = dataclasses.replace(denoiser, predict=noting)
    arguments = {"images_per_file": 5, "shard": (2, 3), "claim": True, **_QUICK}
    assert draw_to_folder(watched, [0, 1], range(30), tmp_path, **arguments) == (30, 0)
    assert set(order[1:]) == {1}  # the first is asked of the job, before any file
    times = {path.stat().st_mtime_ns: path.name for path in tmp_path.glob("images*")}
    firsts = [int(times[time].split("-")[0].removeprefix("images_")) for time in sorted(times)]
    assert firsts == [5, 20, 25, 15, 10, 0]
    assert draw_to_folder(denoiser, [0, 1], range(30), tmp_path, **arguments) == (0, 30)


def test_workers_with_claims_draw_each_file_once(denoiser, tmp_path):
    def work(shard):
        return draw_to_folder(
            denoiser, [0, 1], range(100), tmp_path / "together", images_per_file=5, claim=True,
            shard=shard, **_QUICK,
        )  # fmt: skip

    with ThreadPoolExecutor(4) as workers:
        drawn = list(workers.map(work, [(1, 1), (1, 1), (1, 2), (2, 2)]))
    assert sum(own for own, _ in drawn) == 100
    assert {own + others for own, others in drawn} == {100}
    draw_to_folder(denoiser, [0, 1], range(100), tmp_path / "one", images_per_file=5, **_QUICK)
    for ours, alone in zip(
        sorted((tmp_path / "together").iterdir()), sorted((tmp_path / "one").iterdir()), strict=True
    ):
        assert ours.name == alone.name
        for one, other in zip(read_file(ours), read_file(alone), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_worker_that_another_took_for_lost_leaves_what_is_there(denoiser, tmp_path):
    """It was asleep; meanwhile its file was finished."""
    arguments = ([0], range(6), tmp_path / "many")
    calls = itertools.count()

    def sleeps(noisy_images, timesteps, labels):
        if next(calls) == 1:  # of its file, after the question of the job
            draw_to_folder(denoiser, *arguments, images_per_file=3, **_QUICK)
        return denoiser.predict(noisy_images, timesteps, labels)

    sleeper = dataclasses.replace(denoiser, predict=sleeps)
    drawn = draw_to_folder(sleeper, *arguments, images_per_file=3, claim=True, **_QUICK)
    assert drawn == (0, 6)
    assert not list((tmp_path / "many").glob(".*"))


def test_claims_and_overwriting_exclude_each_other(denoiser, tmp_path):
    with pytest.raises(ValueError, match="`claim` and `overwrite`"):
        draw_to_folder(denoiser, [0], range(6), tmp_path / "a", claim=True, overwrite=True)
    assert not (tmp_path / "a").exists()


_WORKER = """
import sys
from kdiffusion.artifacts import LoadedDenoiser, load_denoiser
from kdiffusion.commands.drawn_files import draw_to_folder

toy, folder, shard, lease, stall = sys.argv[1:]
denoiser = load_denoiser(toy)

def slow(*arrays, calls=[]):
    calls.append(0)
    if len(calls) == int(stall):
        print("in a file", flush=True)
        import time; time.sleep(1000)
    return denoiser.predict(*arrays)

slow = LoadedDenoiser(denoiser.card, denoiser.path, slow)
drawn, there = draw_to_folder(
    slow, [0, 1, 2], range(60), folder, images_per_file=5, shard=(int(shard), 3), claim=True,
    lease_seconds=float(lease), steps=2, guidance_strength=0.0, progress=False,
)
print(drawn)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_of_three_processes_one_is_killed_and_the_others_draw_its_part(denoiser, tmp_path):
    """The set is complete, has no image twice, and is that of one process."""
    folder, lease = tmp_path / "three", 2.0

    def start(shard, stall):
        command = [sys.executable, "-c", _WORKER, denoiser.path, folder, shard, lease, stall]
        return subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True)

    lost = start(1, stall=5)  # one file done, the second begun
    assert lost.stdout.readline() == "in a file\n"
    lost.send_signal(signal.SIGKILL)
    assert lost.wait() == -signal.SIGKILL
    assert len(list(folder.glob("images_*.npz"))) == 1
    assert len(list(folder.glob(".images_*.claim"))) == 1
    workers = [start(shard, stall=0) for shard in (2, 3)]
    drawn = [int(worker.communicate(timeout=120)[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sum(drawn) == 55
    assert not list(folder.glob(".*"))
    draw_to_folder(denoiser, [0, 1, 2], range(60), tmp_path / "one", images_per_file=60, **_QUICK)
    ((images, labels, seeds),) = read_folder(tmp_path / "one")
    together = [np.concatenate(parts) for parts in zip(*read_folder(folder), strict=True)]
    for one, other in zip(together, (images, labels, seeds), strict=True):
        np.testing.assert_array_equal(one, other)
