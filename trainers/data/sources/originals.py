"""Loader for the original files of public data sets, such as CIFAR-10 and MNIST."""

from dataclasses import replace
from pathlib import Path

from ...config.schema import Config
from ...runs.errors import UserError
from ..pipeline.dataset import SourceDataset
from .cifar import CIFAR10, CIFAR100
from .download_search import DEPTH, Download, Original, find_download
from .mnist import FASHION_MNIST, KMNIST, MNIST
from .prepared.loader import UnpreparedError, is_prepared, load_tfds, open_prepared
from .svhn import SVHN

ORIGINALS: dict[str, Original] = {
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "fashion_mnist": FASHION_MNIST,
    "kmnist": KMNIST,
    "mnist": MNIST,
    "svhn_cropped": SVHN,
}


def load_original(config: Config, size: tuple[int, int] | None) -> SourceDataset:
    """Load a public data set from its original files or from a copy prepared by TensorFlow Datasets.

    `find_original` says which of them is read.

    Args:
        config: the run's configuration; `data_dir` may be None.
        size: (height, width) to crop and resize images of differing sizes to, or None.

    Raises:
        UserError: as from `find_original`, or a file is damaged.
    """
    download, order = find_original(config)
    if download is not None:
        return replace(download.read(), source=f"original files, {download.path} ({order})")
    source = load_tfds(config, size)
    return replace(source, source=f"{source.source} ({order})")


def find_original(config: Config) -> tuple[Download | None, str]:
    """Find a public data set's original files, unless a TensorFlow Datasets copy takes precedence.

    In `data_dir`, a copy of TFDS goes first, so that earlier runs find the same images in the same order. Without
    `data_dir`, the files of a package go first, then the copy in TFDS's own folder.

    Args:
        config: the run's configuration; `data_dir` may be None.

    Returns:
        The files, or None if there is a copy of TFDS to read; and the order of the search, for the user.

    Raises:
        UserError: nothing was found, or some files are missing; the message says where it was searched and what to do.
    """
    name, original = config.dataset, ORIGINALS[config.dataset]
    folder, tfds_copy = original.default_folder, "a copy prepared by TensorFlow Datasets"
    places = [f"original files in {folder}", tfds_copy] if folder else [tfds_copy]
    prepared = missing = False
    if config.data_dir is not None:
        folder = Path(config.data_dir).expanduser()
        places = [f"{tfds_copy} in {folder}", f"original files in {folder} and up to {DEPTH} folders below"]
        prepared, missing = is_prepared(name, folder), not folder.exists()
    order = f"searched in this order: {', '.join(places)}"
    download = find_download(name, original, folder) if folder and not prepared else None
    if download is None:
        try:
            open_prepared(config)
        except UnpreparedError as error:
            raise UserError(
                f"{original.title} was not found; {f'there is no {folder}' if missing else order}. Download "
                f"{original.files} from {original.page}, and give the folder by --data_dir=FOLDER. {original.hint}"
                f"{error}"
            ) from None
    return download, order
