"""Names of the data sets that can be loaded, such as "cifar10", and alternative spellings such as "CIFAR-10"."""

import re

from ..runs.errors import UserError

KNOWN_DATASETS = (
    *("digits", "mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100", "svhn_cropped", "imagenet2012"),
    *("smallnorb", "smallnorb_azimuth", "smallnorb_elevation", "h_imagenet", "folder", "npz"),
)
_WITHOUT_FILES = {"digits": "scikit-learn brings it"}  # data set -> where it is from
_OTHER_NAMES = {
    "svhn": "svhn_cropped",
    "fmnist": "fashion_mnist",
    "imagenet": "imagenet2012",
    "ilsvrc2012": "imagenet2012",
}


def name_key(name: str) -> str:
    """Return a name in lower case without blanks and punctuation, such as "cifar10" for "CIFAR-10"."""
    return re.sub(r"[\W_]+", "", name.casefold())


_KEYS = {**{name_key(name): name for name in KNOWN_DATASETS}, **_OTHER_NAMES}


def canonical_dataset_name(name: str) -> str:
    """Convert an alternative spelling of a data set name to the standard one, such as "CIFAR-10" to "cifar10".

    Other names, and those with a version or a configuration of TensorFlow Datasets ("cifar10:3.0.2"), only lose the
    blanks around them.

    Example:

    >>> [canonical_dataset_name(name) for name in ("svhn", "Fashion-MNIST ", "emnist/letters")]
    ['svhn_cropped', 'fashion_mnist', 'emnist/letters']
    """
    name = name.strip()
    return name if set(name) & {":", "/"} else _KEYS.get(name_key(name), name)


def refuse_unread_data_dir(data_dir: str | None, dataset: str) -> None:
    """Raise `UserError` if `--data_dir` is given for a data set that needs no files, such as scikit-learn's digits.

    Only for what the user typed: in a recipe, a configuration file or a run, `data_dir` has no effect there.

    Args:
        data_dir: the flag's value; None without the flag.
        dataset: standard name of the data set.
    """
    if data_dir is None or dataset not in _WITHOUT_FILES:
        return
    own = "npz" if data_dir.endswith(".npz") else "folder"
    raise UserError(
        f"--data_dir={data_dir}: the data set {dataset} is not read from there: {_WITHOUT_FILES[dataset]}. Did you "
        f"mean --dataset={own} --data_dir={data_dir}? Otherwise leave --data_dir out."
    )
