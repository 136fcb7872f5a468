"""Loader for image classification data sets that TensorFlow Datasets (TFDS) has prepared on disk."""

from pathlib import Path

from ....config.dataset_names import KNOWN_DATASETS
from ....config.schema import Config
from ....config.suggestions import did_you_mean
from ....runs.errors import UserError
from ....runs.installation import install_command
from ...pipeline.dataset import TEST_SHARE, SourceDataset, stratified_split
from .split_reader import TfdsSplitReader

# Digits, letters and house numbers, which mean something else or nothing when mirrored.
_NOT_MIRRORED = ("mnist", "svhn_cropped", "emnist", "kmnist", "omniglot", "binarized_mnist", "mnist_corrupted")
# The first of these with public labels is the test split; imagenet2012's test labels are not public.
HELD_OUT_SPLITS = ("test", "validation")
# Data sets that are not TFDS's, with their origin.
_OTHER_DATASETS = {
    "digits": "scikit-learn brings it",
    "folder": "it reads the images in --data_dir as they are",
    "npz": "it reads the file in --data_dir as it is",
    "h_imagenet": "`encapnet data h_imagenet` builds it from ImageNet",
}

# Our names for parts of a data set -> TFDS's name of the whole.
_PARTS = {"smallnorb_azimuth": "smallnorb", "smallnorb_elevation": "smallnorb"}

_LISTED_ARCHIVES = 6  # of the archives that TFDS prepares a data set from; more would fill the screen


class UnpreparedError(UserError):
    """Error raised if TensorFlow Datasets is not installed or has not prepared the requested data set."""


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
        source=f"a copy prepared by TensorFlow Datasets, {builder.data_dir}",
    )


def is_prepared(name: str, data_dir: Path) -> bool:
    """Return whether TensorFlow Datasets has prepared a data set in a folder, completely or partly."""
    return any((data_dir / name).glob("*/dataset_info.json"))


def open_prepared(config: Config):
    """Open the metadata of an image classification data set that TensorFlow Datasets has prepared.

    Returns:
        The builder, and the names of its image and its label feature.

    Raises:
        UserError: as from `load_tfds`.
    """
    name = config.dataset
    builder = prepared_builder(config)
    image_key, label_key = _feature_keys(name, builder.info.features)
    if "train" not in builder.info.splits:
        raise UserError(f"--dataset={name} has no split named train. It has {', '.join(builder.info.splits)}.")
    return builder, image_key, label_key


def prepared_builder(config: Config):
    """Return the TensorFlow Datasets builder of a prepared data set, or raise `UserError` if it is not prepared."""
    builder = tfds_builder(config.dataset, config.data_dir)
    _refuse_unprepared(builder, config)
    return builder


def _family(name: str) -> str:
    """Remove the version and the builder configuration from the name of a TensorFlow Datasets data set.

    "mnist:3.0.1" becomes "mnist". The configuration is the part after a slash.
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
        hint = "" if name in KNOWN_DATASETS else did_you_mean(name, KNOWN_DATASETS)
        unknown = f": there is no data set of this name{hint}, unless it" if hint else ""
        raise UnpreparedError(
            f"--dataset={name}{unknown} is read by TensorFlow Datasets, which is not installed ({error}): "
            f"{install_command('data')}. Without it, --dataset=digits, folder and npz work, and the original files of "
            "MNIST, Fashion-MNIST, Kuzushiji-MNIST, CIFAR and SVHN."
        ) from None
    builders = tfds.list_builders(with_community_datasets=False)  # the community's list needs a network
    name = _PARTS.get(name, name)
    family = _family(name)
    if family not in builders and not (_data_folder(data_dir) / family).is_dir():
        hint = did_you_mean(name, [*KNOWN_DATASETS, *builders])
        raise UserError(
            f"--dataset={name}: TensorFlow Datasets has no data set of this name{hint}. For images of your own: "
            "--dataset=folder --data_dir=FOLDER, with a folder for each class, or --dataset=npz --data_dir=FILE.npz."
        )
    try:
        return tfds.builder(name, data_dir=data_dir)
    except (ValueError, RuntimeError, OSError, ImportError) as error:  # such as an unknown configuration or version
        raise UserError(f"--dataset={name}: {error}") from None


def _data_folder(data_dir) -> Path:
    """Return the folder in which TensorFlow Datasets stores prepared data sets."""
    import tensorflow_datasets as tfds

    return Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()


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
        raise UnpreparedError(
            f"--dataset={config.dataset} is not prepared in {path}, and this command does not download.{leftover} "
            f"Run, with a network: {command}{_needed_archives(builder, config.data_dir)}"
        )
    for split in builder.info.splits.values():
        missing = [Path(file) for file in split.filepaths if not (Path(file).is_file() and Path(file).stat().st_size)]
        if missing:
            raise UserError(
                f"--dataset={config.dataset} is half prepared: {len(missing)} of {len(split.filepaths)} files of its "
                f"{split.name} split are missing or empty, the first {missing[0]}. Delete {path} and run: {command}"
            )


def _needed_archives(builder, data_dir) -> str:
    """Describe in one sentence the archive files that TensorFlow Datasets needs to prepare a data set."""
    folder = _data_folder(data_dir) / "downloads" / "manual"
    if instructions := builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        return (
            f" (TensorFlow Datasets expects archives that you download in {folder}: {' '.join(instructions.split())})"
        )
    files = [f"{info.filename} ({info.size})" for info in (builder.url_infos or {}).values() if info.filename]
    if not files or len(files) > _LISTED_ARCHIVES:
        return ""
    return (
        f" (TensorFlow Datasets downloads {', '.join(sorted(files))}. Without a network, put this into {folder} before "
        "you run it.)"
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
