"""Loader for image classification data sets that TensorFlow Datasets (TFDS) has prepared on disk."""

import difflib
from pathlib import Path

from ...config.schema import Config
from ...runs.errors import UserError
from ..pipeline.dataset import TEST_SHARE, SourceDataset, stratified_split
from .tfds_splits import TfdsSplitReader

# Digits, letters and house numbers, which mean something else or nothing when mirrored.
_NOT_MIRRORED = ("mnist", "svhn_cropped", "emnist", "kmnist", "omniglot", "binarized_mnist", "mnist_corrupted")
# The first of these with public labels is the test split; imagenet2012's test labels are not public.
HELD_OUT_SPLITS = ("test", "validation")
# Data sets that are not TFDS's, with their origin.
_OTHER_DATASETS = {
    "digits": "scikit-learn brings it",
    "folder": "it reads the images in --data_dir as they are",
    "h_imagenet": "`encapnet data h_imagenet` builds it from ImageNet",
}


def load_tfds(config: Config, size: tuple[int, int] | None) -> SourceDataset:
    """Load an image classification data set that TensorFlow Datasets (TFDS) has prepared on disk.

    Args:
        config: the run's `Config`, of which dataset, data_dir and cache_gib are used.
        size: (height, width) to crop and resize images of differing sizes to, or None.

    Raises:
        UserError: TFDS is not installed or has no such data set, or the data set is not, or only half, prepared; the
            message says what to run. Or it is no image classification data set.
    """
    builder, image_key, label_key = open_prepared(config)
    splits = builder.info.splits
    reader = TfdsSplitReader(builder, image_key=image_key, label_key=label_key, size=size, cache_gib=config.cache_gib)
    train = reader.read("train")
    held_out = [reader.read(split) for split in HELD_OUT_SPLITS if split in splits and reader.has_labels(split)]
    if not held_out:
        train, test = stratified_split(train, TEST_SHARE)
        held_out = [test]
    test, *others = held_out
    return SourceDataset(
        class_names=tuple(builder.info.features[label_key].names),
        train=train,
        test=test,
        validation=others[0] if others else None,
        mirrors=_family(config.dataset) not in _NOT_MIRRORED,
    )


def open_prepared(config: Config):
    """Open a prepared image classification data set of TensorFlow Datasets (TFDS), and read its metadata only.

    Returns:
        The builder, and the names of its image and its label feature.

    Raises:
        UserError: as from `load_tfds`.
    """
    name = config.dataset
    builder = tfds_builder(name, config.data_dir)
    _refuse_unprepared(builder, config)
    image_key, label_key = _feature_keys(name, builder.info.features)
    if "train" not in builder.info.splits:
        raise UserError(f"--dataset={name} has no split named train. It has {', '.join(builder.info.splits)}.")
    return builder, image_key, label_key


def _family(name: str) -> str:
    """Strip the version from a data set name of TensorFlow Datasets: "mnist:3.0.1" becomes "mnist".

    The builder configuration after a slash is removed, too.
    """
    return name.split("/")[0].split(":")[0]


def tfds_builder(name: str, data_dir):
    """Return the TensorFlow Datasets (TFDS) builder for a data set name such as "mnist" or "mnist:3.0.1".

    Args:
        name: of the data set, with a configuration and a version where they are given.
        data_dir: TFDS's folder; None takes its default.

    Raises:
        UserError: TFDS is not installed, or has no data set of that name.
    """
    if name in _OTHER_DATASETS:
        raise UserError(f"--dataset={name} needs no preparing by TensorFlow Datasets: {_OTHER_DATASETS[name]}.")
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f"--dataset={name} is read by TensorFlow Datasets, which is not installed ({error}): "
            'pip install "encapnet_tf[data]". The digits, Fashion-MNIST and MNIST from IDX files, and folders of '
            "images work without it."
        ) from None
    builders = tfds.list_builders(with_community_datasets=False)  # the community's list needs a network
    family = _family(name)
    folder = Path(data_dir) if data_dir else Path(tfds.core.constants.DATA_DIR)
    if family not in builders and not (folder / family).is_dir():
        matches = difflib.get_close_matches(name, [*_OTHER_DATASETS, *builders], n=3)
        hint = f" Did you mean {', '.join(matches)}?" if matches else ""
        raise UserError(
            f"--dataset={name}: TensorFlow Datasets has no data set of this name.{hint} For images of your own: "
            "--dataset=folder --data_dir=FOLDER, with a folder for each class."
        )
    try:
        return tfds.builder(name, data_dir=data_dir)
    except (ValueError, RuntimeError, OSError, ImportError) as error:  # such as an unknown configuration or version
        raise UserError(f"--dataset={name}: {error}") from None


def prepare_command(config) -> str:
    """Return the shell command that downloads a data set and prepares it with TensorFlow Datasets (TFDS)."""
    folder = f" --data_dir={config.data_dir}" if config.data_dir else ""
    return f"encapnet data prepare --dataset={config.dataset}{folder}"


def _refuse_unprepared(builder, config: Config):
    """Raise `UserError` if a TensorFlow Datasets (TFDS) data set is not completely prepared on disk."""
    path = Path(builder.data_dir)
    command = prepare_command(config)
    if not (path / "dataset_info.json").is_file():
        folders = sorted(str(folder) for folder in path.parent.glob(f"incomplete.*_{path.name}"))
        leftover = f" A preparation that did not finish left {', '.join(folders)}; delete it." if folders else ""
        raise UserError(
            f"--dataset={config.dataset} is not prepared in {path}, and this command does not download.{leftover} "
            f"Run, with a network: {command}"
        )
    for split in builder.info.splits.values():
        missing = [Path(file) for file in split.filepaths if not (Path(file).is_file() and Path(file).stat().st_size)]
        if missing:
            raise UserError(
                f"--dataset={config.dataset} is half prepared: {len(missing)} of {len(split.filepaths)} files of its "
                f"{split.name} split are missing or empty, the first {missing[0]}. Delete {path} and run: {command}"
            )


def _feature_keys(name: str, features) -> tuple[str, str]:
    """Return the names of the image feature and the label feature in a TensorFlow Datasets (TFDS) data set."""
    import tensorflow_datasets as tfds

    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    label = "label" if "label" in labels else labels[0] if len(labels) == 1 else None
    if len(images) != 1 or label is None:
        raise UserError(
            f"--dataset={name} is no image classification data set: expected one image and one class label in each "
            f"example. It has {', '.join(features)}."
        )
    return images[0], label
