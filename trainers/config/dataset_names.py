"""Names of the data sets that have a loader in this package, and their alternative spellings."""

import re

KNOWN_DATASETS = (
    *("digits", "mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100", "svhn_cropped", "imagenet2012"),
    *("h_imagenet", "folder", "npz"),
)
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
