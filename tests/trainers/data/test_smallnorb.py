"""smallNORB, as a small builder with its features: stereo pairs as two channels, and splits by viewpoint."""

import numpy as np
import pytest
from encapnet_tf.trainers import data
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.data.augmentation.augment import Augmentation
from encapnet_tf.trainers.data.augmentation.views import Views
from encapnet_tf.trainers.data.inspection import sample_grid
from encapnet_tf.trainers.data.sizing.summary import summarise
from encapnet_tf.trainers.data.sources.prepared import smallnorb
from encapnet_tf.trainers.data.sources.prepared.loader import tfds_builder
from encapnet_tf.trainers.runs.errors import UserError

tfds = pytest.importorskip("tensorflow_datasets")
AZIMUTHS, ELEVATIONS, CLASSES = 18, 9, 5


class Smallnorb(tfds.core.GeneratorBasedBuilder):
    """The features of TFDS's smallNORB with small images, whose pixels tell class, azimuth and elevation."""

    VERSION = tfds.core.Version("2.0.0")

    def _info(self):
        names = ["animals", "humans", "airplanes", "trucks", "cars"]
        sizes = {"instance": 10, "label_elevation": ELEVATIONS, "label_azimuth": AZIMUTHS, "label_lighting": 6}
        features = {
            **{key: tfds.features.Image(shape=(12, 12, 1)) for key in ("image", "image2")},
            "label_category": tfds.features.ClassLabel(names=names),
            **{key: tfds.features.ClassLabel(num_classes=size) for key, size in sizes.items()},
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, downloads):
        return {"train": self._generate_examples(4), "test": self._generate_examples(5)}

    def _generate_examples(self, instance):
        for i, (azimuth, elevation, label) in enumerate(np.ndindex(AZIMUTHS, ELEVATIONS, CLASSES)):
            image = np.full((12, 12, 1), 10 * azimuth, np.uint8)
            image[0] = elevation
            image[1] = label
            image[2] = instance
            yield (
                i,
                {
                    **{"image": image, "image2": image + 1, "label_category": label, "instance": instance},
                    **{"label_elevation": elevation, "label_azimuth": azimuth, "label_lighting": i % 6},
                },
            )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the small data set is prepared."""
    path = tmp_path_factory.mktemp("tfds")
    Smallnorb(data_dir=path).download_and_prepare()
    return path


def _load(folder, name, **settings):
    return data.load(resolve("digits", {"dataset": name, "data_dir": str(folder), "augment": ("none",), **settings}))


def _viewpoints(split):
    """(azimuths in degrees, elevations in degrees, instances) of the images of a split."""
    left = split.images[..., 0]
    np.testing.assert_array_equal(left[:, 1, 0], split.labels)
    np.testing.assert_array_equal(split.images[..., 1], left + 1)
    degrees = ((20 * (left[:, 3, 0] // 10).astype(int)), 30 + 5 * left[:, 0, 0].astype(int), left[:, 2, 0])
    return tuple(set(values.tolist()) for values in degrees)


NEAR, FAR = {300, 320, 340, 0, 20, 40}, set(range(60, 281, 20))
LOW, HIGH = {30, 35, 40}, {45, 50, 55, 60, 65, 70}


@pytest.mark.parametrize(
    ("name", "training", "test", "images"),
    [
        ("smallnorb", (NEAR | FAR, LOW | HIGH), (NEAR | FAR, LOW | HIGH), (810, 810)),
        ("smallnorb_azimuth", (NEAR, LOW | HIGH), (FAR, LOW | HIGH), (270, 540)),
        ("smallnorb_elevation", (NEAR | FAR, LOW), (NEAR | FAR, HIGH), (270, 540)),
    ],
)
def test_viewpoints(folder, name, training, test, images):
    dataset = _load(folder, name)
    assert dataset.image_shape == (12, 12, 2)
    assert _viewpoints(dataset.train) == (*training, {4})
    assert _viewpoints(dataset.test) == (*test, {5})
    assert _viewpoints(dataset.validation)[0] <= training[0]
    assert (len(dataset.train) + len(dataset.validation), len(dataset.test)) == images
    assert dataset.class_names[0] == "animals"
    assert not dataset.views.mirrors
    summary = summarise(resolve("images", {"dataset": name, "data_dir": str(folder)}))
    assert (summary.images, summary.classes, summary.common_size) == (images[0], 5, (12, 12))


@pytest.mark.ci
def test_stereo_pairs_are_shrunk_augmented_and_composed(folder):
    dataset = _load(folder, "smallnorb_azimuth", image_size=8, compose="overlap")
    assert dataset.image_shape == (10, 10, 2)
    assert dataset.test.pixels([0, 1]).shape == (2, 10, 10, 2)
    config = resolve("digits", {"compose": "overlap"})
    assert sample_grid(dataset, config, 2, 3).startswith(b"\x89PNG")
    images = np.random.default_rng(0).uniform(0, 255, (6, 8, 8, 2)).astype("float32")
    chain = Augmentation(("++", "randaugment", "erasing"), Views((8, 8), 40 / 32), 5)
    uniforms = np.random.default_rng(1).random((6, chain.num_uniforms)).astype("float32")
    augmented, _ = chain(images, np.arange(6) % 5, uniforms)
    assert augmented.shape == images.shape
    assert np.isfinite(augmented).all()


def test_the_parts_are_prepared_as_the_whole(tmp_path):
    assert tfds_builder("smallnorb_elevation", tmp_path).name == "smallnorb"
    with pytest.raises(UserError, match=r"not prepared .* encapnet data prepare --dataset=smallnorb_elevation"):
        _load(tmp_path, "smallnorb_elevation")


def test_a_data_set_without_the_viewpoints_is_refused(folder, monkeypatch):
    nowhere = smallnorb.Viewpoints("label_azimuth", (99,), 0.1)
    monkeypatch.setitem(smallnorb.SPLITS, "smallnorb_azimuth", nowhere)
    with pytest.raises(UserError, match=r"its train split has no image whose label_azimuth is one of \(99,\)"):
        _load(folder, "smallnorb_azimuth")
