"""Data sets of TFDS: mocked ones by their names, and small real ones, prepared wholly, half and not at all."""

import shutil

import numpy as np
import pytest
from encapnet_tf.trainers import data
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.data.sizing.summary import summarise
from encapnet_tf.trainers.data.sources.prepared import connection
from encapnet_tf.trainers.data.sources.prepared.record_files import RecordFiles
from encapnet_tf.trainers.runs.errors import UserError

from tests.trainers.commands.command import run_command
from tests.trainers.data.original_files import cifar_files, write_archive

tfds = pytest.importorskip("tensorflow_datasets")

CLASSES = ("even", "odd")


class TinyShapes(tfds.core.GeneratorBasedBuilder):
    """Images of differing sizes whose class is the parity of their brightness."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=CLASSES),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, downloads):
        return {"train": self._generate_examples(40), "test": self._generate_examples(6)}

    def _generate_examples(self, n):
        for i in range(n):
            yield i, {"image": np.full((10 + i % 5, 12, 3), 100 + i, np.uint8), "label": i % 2}


class OneSize(TinyShapes):
    """Images of one size, in three splits; `secret`: the test split's labels are not public."""

    secret = False

    def _info(self):
        features = {"image": tfds.features.Image(shape=(9, 9, 3)), "label": tfds.features.ClassLabel(names=CLASSES)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, downloads):
        test = ((i, {**x, "label": -1 if self.secret else x["label"]}) for i, x in self._generate_examples(5))
        return {"train": self._generate_examples(30), "validation": self._generate_examples(8), "test": test}

    def _generate_examples(self, n):
        for i in range(n):
            yield i, {"image": np.full((9, 9, 3), 100 + i, np.uint8), "label": i % 2}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder in which both data sets are prepared, for tests that only read it."""
    folder = tmp_path_factory.mktemp("tfds")
    for builder in (TinyShapes, OneSize):
        builder(data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture
def prepared_copy(prepared, tmp_path):
    """A copy of that folder, for tests that damage it."""
    shutil.copytree(prepared, tmp_path / "tfds")
    return tmp_path / "tfds"


def _load(folder, **overrides):
    return data.load(resolve("digits", {"dataset": "tiny_shapes", "data_dir": str(folder), **overrides}))


def _assert_images_match_labels(split):
    parity = split.pixels(np.arange(len(split)))[:, 0, 0, 0] % 2
    np.testing.assert_array_equal(parity, split.labels)


@pytest.mark.parametrize("cache_gib", [1.0, 1e-5, 1e-9], ids=["pixels", "encoded", "records"])
def test_the_same_images_from_memory_and_from_disk(prepared, cache_gib):
    dataset = _load(prepared, image_size=12, cache_gib=cache_gib)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (36, 4, 6)
    assert dataset.class_names == CLASSES
    assert dataset.image_shape == (12, 12, 3)
    assert dataset.views.mirrors
    for split in (dataset.train, dataset.validation, dataset.test):
        _assert_images_match_labels(split)
    caches = list(prepared.glob("tiny_shapes/1.0.0/encapnet_labels_*.npy"))
    assert bool(caches) == (cache_gib == 1e-9)
    for path in caches:
        _load(prepared, image_size=12, cache_gib=cache_gib)  # reads the labels from the cache file
        path.unlink()


def test_splits_of_tfds_are_used(prepared):
    dataset = _load(prepared, dataset="one_size")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (30, 8, 5)


def test_a_test_split_without_labels_is_left_alone(tmp_path, monkeypatch):
    """As imagenet2012's: the validation split is the test split then."""
    monkeypatch.setattr(OneSize, "secret", True)
    OneSize(data_dir=tmp_path).download_and_prepare()
    dataset = _load(tmp_path, dataset="one_size")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (27, 3, 8)
    _assert_images_match_labels(dataset.test)


def _truncated(data):
    return data[: len(data) // 2]


def _one_bit_wrong(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


def _train_records(folder):
    (records,) = folder.glob("one_size/1.0.0/*train.tfrecord*")
    return records


@pytest.mark.parametrize("change", [_truncated, _one_bit_wrong])
def test_damaged_records_are_refused(prepared_copy, change):
    records = _train_records(prepared_copy)
    records.write_bytes(change(records.read_bytes()))
    with pytest.raises(UserError, match=r"files of its train split in .*one_size.* are damaged .*prepare the data set"):
        _load(prepared_copy, dataset="one_size")


@pytest.mark.ci
def test_a_corrupt_image_in_a_record_is_named(prepared_copy):
    import tensorflow as tf

    records = _train_records(prepared_copy)
    examples = [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(records))]
    image = examples[4].features.feature["image"].bytes_list
    image.value[0] = image.value[0][:30]
    with tf.io.TFRecordWriter(str(records)) as file:
        for example in examples:
            file.write(example.SerializeToString())
    with pytest.raises(UserError, match="1 of 30 images cannot be decoded: image 4 of one_size's train split"):
        _load(prepared_copy, dataset="one_size")
    assert len(_load(prepared_copy, dataset="one_size", corrupt_images="skip").train) == 29


@pytest.mark.parametrize(
    ("dataset", "images", "sizes", "has_validation"),
    [("tiny_shapes", 40, {(10 + i, 12) for i in range(5)}, False), ("one_size", 30, {(9, 9)}, True)],
    ids=["sizes from the records", "size from the metadata"],
)
def test_a_data_set_is_described_without_decoding_it(prepared, dataset, images, sizes, has_validation):
    described = summarise(resolve("images", {"dataset": dataset, "data_dir": str(prepared)}))
    assert (described.images, described.classes, described.smallest_class) == (images, 2, images // 2)
    assert {(header.height, header.width) for header in described.headers} == sizes
    assert described.has_validation == has_validation


def test_images_of_differing_sizes_need_image_size(prepared):
    with pytest.raises(UserError, match=r"differ in size\. Set --image_size"):
        _load(prepared)


def _info_files(folder, name, counts):
    """Writes the files of a prepared data set without its data, which TFDS mocks."""
    builder = tfds.builder(name, data_dir=folder)
    template = tfds.core.ShardedFileTemplate(
        builder.data_path, dataset_name=builder.name, split=None, filetype_suffix="tfrecord"
    )
    splits = [
        tfds.core.SplitInfo(name=split, shard_lengths=[n], num_bytes=n, filename_template=template.replace(split=split))
        for split, n in counts.items()
    ]
    builder.info.set_splits(tfds.core.SplitDict(splits))
    builder.data_path.mkdir(parents=True)
    builder.info.write_to_directory(builder.data_path)
    for split in builder.info.splits.values():
        for path in split.filepaths:
            path.write_bytes(b"mocked")


@pytest.mark.parametrize(
    ("recipe", "name", "shape", "classes", "mirrors"),
    [
        ("cifar10_plus", "cifar10", (32, 32, 3), 10, True),
        ("cifar100", "cifar100", (32, 32, 3), 100, True),
        ("svhn", "svhn_cropped", (32, 32, 3), 10, False),
        ("mnist", "mnist", (28, 28, 1), 10, False),
        ("fashion_mnist", "fashion_mnist", (28, 28, 1), 10, True),
        pytest.param("imagenet", "imagenet2012", (224, 224, 3), 1000, True, marks=pytest.mark.ci),
    ],
)
def test_recipes_find_their_data(tmp_path, recipe, name, shape, classes, mirrors):
    few = classes if classes < 1000 else 5  # classes that have images
    n = 4 * few
    test = "validation" if name == "imagenet2012" else "test"
    _info_files(tmp_path, name, {"train": n, test: n})

    def as_dataset(self, *args, decoders=None, **options):
        import tensorflow as tf

        images = np.random.default_rng(0).integers(0, 256, (n, *shape)).astype(np.uint8)
        if decoders:
            images = [tf.io.encode_png(image).numpy() for image in images]
        return tf.data.Dataset.from_tensor_slices({"image": images, "label": np.arange(n) % few})

    with tfds.testing.mock_data(num_examples=n, as_dataset_fn=as_dataset, data_dir=str(tmp_path)):
        dataset = data.load(resolve(recipe, {"data_dir": str(tmp_path), "validation_fraction": 0.25}))
    assert len(dataset.class_names) == classes
    assert dataset.image_shape == shape
    assert dataset.views.mirrors is mirrors
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (n * 3 // 4, n // 4, n)


def test_mocked_labels_out_of_range_are_named(tmp_path):
    _info_files(tmp_path, "cifar10", {"train": 20, "test": 20})

    def as_dataset(self, *args, **options):
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices(
            {"image": np.zeros((20, 32, 32, 3), np.uint8), "label": [*range(9)] + [10] * 11}
        )

    with (
        tfds.testing.mock_data(num_examples=20, as_dataset_fn=as_dataset, data_dir=str(tmp_path)),
        pytest.raises(UserError, match=r"cifar10 \(train\): labels must be integers from 0 to 9\. Found 10 at image 9"),
    ):
        data.load(resolve("cifar10", {"data_dir": str(tmp_path)}))


def test_a_data_set_that_is_not_prepared_gives_the_command(tmp_path):
    with pytest.raises(UserError, match=r"not prepared in .*encapnet data prepare --dataset=cifar10 --data_dir="):
        data.load(resolve("cifar10", {"data_dir": str(tmp_path)}))


def test_a_prepared_copy_goes_before_original_files(tmp_path):
    """Earlier runs, which the copy's order of images made, can be resumed."""
    _info_files(tmp_path, "cifar10", {"train": 20, "test": 20})
    write_archive(tmp_path / "cifar-10-python.tar.gz", cifar_files(10))

    def as_dataset(self, *args, **options):
        import tensorflow as tf

        images = np.zeros((20, 32, 32, 3), np.uint8)
        return tf.data.Dataset.from_tensor_slices({"image": images, "label": np.arange(20) % 10})

    with tfds.testing.mock_data(num_examples=20, as_dataset_fn=as_dataset, data_dir=str(tmp_path)):
        dataset = data.load(resolve("cifar10", {"data_dir": str(tmp_path), "validation_fraction": 0.5}))
    assert (len(dataset.train), len(dataset.test)) == (10, 20)
    assert dataset.source.startswith(f"a copy prepared by TensorFlow Datasets, {tmp_path / 'cifar10'}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cifar10",
            r"Download cifar-10-python\.tar\.gz from .*TensorFlow Datasets downloads cifar-10-binary\.tar\.gz \(162",
        ),
        (
            "stl10",
            r"TensorFlow Datasets downloads stl10_binary\.tar\.gz \(2\.46 GiB\)\. Without a network, put this into ",
        ),
        (
            "imagenet2012",
            r"archives that you download in .*manual: manual_dir should contain two files: ILSVRC2012_img",
        ),
    ],
)
def test_the_archives_that_are_needed_are_named(tmp_path, name, message):
    with pytest.raises(UserError, match=rf"(?s){message}") as caught:
        data.load(resolve("digits", {"dataset": name, "data_dir": str(tmp_path)}))
    assert str(tmp_path / "downloads" / "manual") in str(caught.value)


def test_an_unfinished_preparation_is_reported(tmp_path):
    version = tfds.builder("cifar10", data_dir=tmp_path).info.version
    (tmp_path / "cifar10" / f"incomplete.ABC_{version}").mkdir(parents=True)
    with pytest.raises(UserError, match=r"did not finish left .*incomplete\.ABC_.*delete it.*encapnet data prepare"):
        data.load(resolve("cifar10", {"data_dir": str(tmp_path)}))


def test_preparing_without_a_network_answers_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "can_reach", lambda servers: False)
    result = run_command("data", "prepare", "--dataset=cifar10", "--data_dir=tfds", cwd=tmp_path)
    assert result.status == 1
    assert "cifar10 has to be downloaded, and no connection can be made to www.cs.toronto.edu." in result.stderr
    assert not (tmp_path / "tfds").exists()


def test_a_half_prepared_data_set_is_refused(prepared_copy):
    (records,) = prepared_copy.glob("tiny_shapes/1.0.0/*test.tfrecord*")
    whole = records.read_bytes()
    records.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is truncated or no TFRecord file"):
        _load(prepared_copy, image_size=12, cache_gib=1e-9)
    records.unlink()
    with pytest.raises(UserError, match=r"half prepared: 1 of 1 files of its test split .*encapnet data prepare"):
        _load(prepared_copy, image_size=12)


def test_a_changed_byte_of_a_record_is_found(prepared_copy):
    """Anywhere in a file: in a length, in a checksum or in the pixels, whose decoders do not notice most changes."""
    (path,) = prepared_copy.glob("tiny_shapes/1.0.0/*train.tfrecord*")
    whole = path.read_bytes()
    records = RecordFiles.index_files("tiny_shapes", [path])
    for position in (0, 9, *np.random.default_rng(0).integers(12, records.length[0] + 16, 10)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        with pytest.raises(UserError, match=r"record 0 of .*train\.tfrecord.* is damaged"):
            records.read_bytes(0)
        assert records.read_bytes(1)
    with pytest.raises(UserError, match=r"are damaged|images cannot be decoded: record 0"):
        _load(prepared_copy, image_size=12, cache_gib=1e-9).train.decode()


def test_a_damaged_label_cache_is_written_again(prepared_copy, capsys):
    for cache in prepared_copy.glob("tiny_shapes/1.0.0/encapnet_labels_*.npy"):
        cache.unlink()  # of the folder that this one is a copy of
    before = _load(prepared_copy, image_size=12, cache_gib=1e-9).train.labels
    caches = list(prepared_copy.glob("tiny_shapes/1.0.0/encapnet_labels_*.npy"))
    capsys.readouterr()
    for change in (lambda b: b[:-9] + b"\1" + b[-8:], lambda b: b[:50], lambda b: b"", lambda b: b"words" * 30):
        whole = [cache.read_bytes() for cache in caches]
        for cache, content in zip(caches, whole, strict=True):
            cache.write_bytes(change(content))
        np.testing.assert_array_equal(_load(prepared_copy, image_size=12, cache_gib=1e-9).train.labels, before)
        assert capsys.readouterr().out.count("is damaged and will be written again") == len(caches)
        assert [cache.read_bytes() for cache in caches] == whole


def test_too_few_examples_are_refused(tmp_path):
    _info_files(tmp_path, "cifar10", {"train": 20, "test": 20})
    with (
        tfds.testing.mock_data(num_examples=7, max_value=10, data_dir=str(tmp_path)),
        pytest.raises(UserError, match="train split should have 20 examples; 7 were found"),
    ):
        data.load(resolve("cifar10", {"data_dir": str(tmp_path)}))


def test_an_unknown_name_is_answered_without_a_network(tmp_path):
    with pytest.raises(UserError, match=r"no data set of this name \(did you mean .*cifar10"):
        data.load(resolve("digits", {"dataset": "cifar11", "data_dir": str(tmp_path)}))


def test_data_without_labels_is_refused(tmp_path):
    _info_files(tmp_path, "coco_captions", {"train": 4})
    with pytest.raises(UserError, match="no image classification data set"):
        data.load(resolve("digits", {"dataset": "coco_captions", "data_dir": str(tmp_path)}))


def test_without_tfds_the_error_names_the_package_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(UserError, match=r"pip install -e \"\.\[data\]\""):
        data.load(resolve("cifar10", {}))
    with pytest.raises(UserError, match=r"=digit: there is no data set of this name \(did you mean digits\?\), unless"):
        data.load(resolve("digits", {"dataset": "digit"}))
    assert len(data.load(resolve("digits", {})).test) == 360
