"""TFDS data sets beyond the table: which are read, which refused, and what a failure leaves."""

import http.server
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from kdiffusion.data import load_dataset

SHAPE = (6, 7, 3)


def features(image=None, label=None, **others):
    return tfds.features.FeaturesDict(
        {
            "image": image or tfds.features.Image(shape=SHAPE, encoding_format="png"),
            "label": label or tfds.features.ClassLabel(names=["no", "yes"]),
            **others,
        }
    )


def examples(count, shape=SHAPE, classes=2):
    images = np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8)
    return images, np.arange(count) % classes


def load(directory, name="little", **arguments):
    return load_dataset(name, directory=directory, **arguments)


@pytest.mark.parametrize("held_out", ["test", "validation"])
def test_images_are_read_as_stored_and_a_split_is_the_validation_part(store_tfds, held_out):
    splits = {"train": examples(20), held_out: examples(6)}
    dataset = load(store_tfds("little", "1.0.0", features(), splits))
    np.testing.assert_array_equal(dataset.images, splits["train"][0])
    np.testing.assert_array_equal(dataset.labels, splits["train"][1])
    np.testing.assert_array_equal(dataset.validation_images, splits[held_out][0])
    np.testing.assert_array_equal(dataset.validation_labels, splits[held_out][1])
    assert dataset.class_names == ("no", "yes")
    assert not dataset.horizontal_flip


def test_jpegs_are_decoded_as_pillow_decodes_them(store_tfds, tmp_path):
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (20, 8, 8, 3), np.uint8)
    paths = [tmp_path / f"{index}.jpg" for index in range(20)]
    for path, image in zip(paths, small, strict=True):
        Image.fromarray(image).resize((32, 32)).save(path)
    jpeg = features(image=tfds.features.Image(shape=(32, 32, 3), encoding_format="jpeg"))
    splits = {"train": ([str(path) for path in paths], np.arange(20) % 2)}
    splits["test"] = splits["train"]
    dataset = load(store_tfds("little", "1.0.0", jpeg, splits))
    np.testing.assert_array_equal(
        dataset.images, np.stack([np.asarray(Image.open(path)) for path in paths])
    )


def test_test_goes_before_validation_unless_its_labels_are_unknown(store_tfds):
    splits = {"train": examples(20), "validation": examples(6), "test": examples(4)}
    dataset = load(store_tfds("little", "1.0.0", features(), splits))
    assert len(dataset.validation_labels) == 4
    splits["test"] = (splits["test"][0], np.full(4, -1))
    dataset = load(store_tfds("little", "1.1.0", features(), splits), name="little:1.1.0")
    assert len(dataset.validation_labels) == 6


def test_a_hold_out_where_no_split_serves(store_tfds):
    images, labels = examples(20)
    splits = {"train": (images, labels), "test": (images[:3], np.full(3, -1))}
    dataset = load(store_tfds("little", "1.0.0", features(), splits), validation_fraction=0.2)
    np.testing.assert_array_equal(np.bincount(dataset.validation_labels), [2, 2])
    together = [*dataset.images, *dataset.validation_images]
    assert {image.tobytes() for image in together} == {image.tobytes() for image in images}


@pytest.mark.slow
def test_the_data_directory_may_come_from_the_environment(store_tfds):
    directory = store_tfds("little", "1.0.0", features(), {"train": examples(20)})
    program = (
        "from kdiffusion.data import load_dataset; "
        f"assert load_dataset('little').image_shape == {SHAPE}"
    )
    # Another process, because TFDS reads the variable when it is imported.
    environment = {**os.environ, "TFDS_DATA_DIR": str(directory)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_a_cut_file_is_reported(store_tfds):
    directory = store_tfds("little", "1.0.0", features(), {"train": examples(20)})
    (record,) = directory.rglob("*train.tfrecord*")
    record.write_bytes(record.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"The `train` split of 'little' in .* cannot be read"):
        load(directory)


def test_grey_images_and_a_config_and_numbered_classes(store_tfds):
    grey = features(
        image=tfds.features.Image(shape=(5, 5, 1)), label=tfds.features.ClassLabel(num_classes=3)
    )
    splits = {"train": examples(12, (5, 5, 1), classes=3)}
    dataset = load(store_tfds("little", "1.0.0", grey, splits))
    assert dataset.image_shape == (5, 5, 1)
    assert dataset.class_names == ("0", "1", "2")


def test_other_features_of_any_shape_do_no_harm(store_tfds):
    more = features(note=tfds.features.Text(), count=tfds.features.Scalar(np.int64))
    dataset = load(store_tfds("little", "1.0.0", more, {"train": examples(20)}))
    assert dataset.image_shape == SHAPE


def test_images_of_different_sizes_need_an_image_size(store_tfds):
    free = features(image=tfds.features.Image(shape=(None, None, 3)))
    images = [*examples(10)[0], *examples(10, (9, 5, 3))[0]]
    directory = store_tfds("little", "1.0.0", free, {"train": (images, np.arange(20) % 2)})
    with pytest.raises(ValueError, match=r"Images of 'little' must be of one size .*\(9, 5, 3\)"):
        load(directory)
    assert load(directory, image_size=4).image_shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            {"label": tfds.features.Scalar(np.int64)},
            r"it has no `label` that is a TFDS ClassLabel. It has: image .Image., label \(Scalar\)",
        ),
        (
            {"image": tfds.features.Tensor(shape=SHAPE, dtype=np.uint8)},
            "it has no `image` that is a TFDS Image",
        ),
        (
            {"image": tfds.features.Image(shape=(6, 7, 4), encoding_format="png")},
            "its images must be uint8 with 1 or 3 channels",
        ),
        (
            {"image": tfds.features.Image(shape=(6, 7, 1), dtype=np.uint16, encoding_format="png")},
            "its images must be uint8 with 1 or 3 channels",
        ),
    ],
)
def test_unusable_features_are_refused_with_the_reason(store_tfds, arguments, reason):
    kinds = features(**arguments)
    images = np.zeros((8, *kinds["image"].shape), kinds["image"].np_dtype)
    splits = {"train": (images, np.arange(8) % 2)}
    with pytest.raises(ValueError, match=f"'little' cannot be trained on: {reason}"):
        load(store_tfds("little", "1.0.0", kinds, splits))


def test_without_a_train_split_is_refused(store_tfds):
    directory = store_tfds("little", "1.0.0", features(), {"test": examples(8)})
    with pytest.raises(ValueError, match=r"it has no `train` split. It has: \['test'\]"):
        load(directory)


@pytest.mark.parametrize("name", ["cifar10:0.0.1", "emnist/no_such_letters"])
def test_an_unknown_version_or_config_is_tfds_own_error(name):
    with pytest.raises(ValueError, match=f"TFDS cannot load data set '{name}': ") as caught:
        load_dataset(name)
    assert caught.value.__cause__ is not None


class _Refuses(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def refusing_server():
    """URL of a server on this machine that has no file."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class KdiffusionTestUnprepared(tfds.core.GeneratorBasedBuilder):
    """A data set whose archive cannot be had, or which fails half-way, as `failure` says."""

    VERSION = tfds.core.Version("1.0.0")
    failure = None

    def _info(self):
        return self.dataset_info_from_configs(features=features())

    def _split_generators(self, dl_manager):
        if self.failure.startswith("http"):
            dl_manager.download(self.failure + "/archive.zip")
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {"image": np.zeros(SHAPE, np.uint8), "label": 0}
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("parent_exists", [True, False])
@pytest.mark.parametrize("failure", ["download", "generation"])
def test_a_failed_preparation_says_what_to_do_and_leaves_nothing(
    tmp_path, monkeypatch, refusing_server, failure, parent_exists
):
    cause = refusing_server if failure == "download" else "disk"
    monkeypatch.setattr(KdiffusionTestUnprepared, "failure", cause)
    directory = tmp_path / "data"
    if parent_exists:
        directory.mkdir()
        (directory / "kept").write_text("another's")
    with pytest.raises(FileNotFoundError, match="is not prepared in") as caught:
        load(directory, name="kdiffusion_test_unprepared")
    message = str(caught.value)
    assert ("404" if failure == "download" else "No space left") in message
    assert "TFDS_DATA_DIR" in message
    assert "`tfds build kdiffusion_test_unprepared --data_dir DIRECTORY`" in message
    assert caught.value.__cause__ is not None
    left = sorted(path.name for path in tmp_path.rglob("*"))
    assert left == (["data", "kept"] if parent_exists else [])


def test_no_network_is_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("socket.getaddrinfo", _no_address)
    with pytest.raises(
        FileNotFoundError, match="no network: no address is known for any of"
    ) as caught:
        load(tmp_path / "data", name="cifar10")
    assert isinstance(caught.value.__cause__, OSError)
    assert not (tmp_path / "data").exists()


def _no_address(*_):
    raise OSError(-2, "Name or service not known")


@pytest.mark.slow
def test_tensorflow_says_nothing_when_it_is_first_needed_to_read(store_tfds):
    directory = store_tfds("little", "1.0.0", features(), {"train": examples(20)})
    load = "from kdiffusion.data import load_dataset; load_dataset('little', directory=sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {load}", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
