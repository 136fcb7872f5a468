"""Checks of how much memory a model file would take, before anything of it is unpacked or allocated."""

import json
import math
import os
import zipfile
from collections.abc import Iterable

import keras

from encapnet_tf.keras_private import safe_mode
from encapnet_tf.weight_counts import count_weights

HDF5_SUFFIXES = (".h5", ".hdf5")
# Weights hardly get smaller when they are packed. A file that unpacks to much more was made to fill the memory.
_MOST_GROWTH, _SMALL_BYTES = 20, 2**28
_BYTES = 4  # of a weight
_LARGE_SETTING = 4096  # a network without a larger setting has no layer of gigabytes


class ModelFileError(ValueError):
    """Error raised by `load_model` for a file that is not a sound Keras model."""


def check_sizes(path: str, custom_objects: dict | None) -> None:
    """Raise `ModelFileError` if loading a model file would take far more memory than a sound file of its size.

    Truncated archives are refused, too. Nothing is unpacked or allocated.

    Args:
        path: of an existing file; one whose name has another ending than those of Keras is not looked at.
        custom_objects: as for `load_model`.
    """
    if path.endswith(HDF5_SUFFIXES):
        with open(path, "rb") as file:
            _check_unpacked(path, _array_bytes(file))
        _check_described(path, _hdf5_configuration(path), custom_objects)
    elif path.endswith(".keras"):
        if not zipfile.is_zipfile(path):
            raise ModelFileError(
                f"{path!r} is not a Keras model or is truncated: it is not a complete zip archive. Save or copy the "
                "model again."
            )
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_unpacked(path, sum(member.file_size for member in members))
            for member in members:
                if member.filename.endswith(HDF5_SUFFIXES):
                    with archive.open(member) as file:
                        _check_unpacked(path, _array_bytes(file))
            _check_described(path, json.loads(archive.read("config.json")), custom_objects)


def _most_bytes(path):
    """Return the bytes that the arrays of a file of this size may have."""
    return max(_SMALL_BYTES, _MOST_GROWTH * os.path.getsize(path))


def _check_unpacked(path, unpacked):
    """Raise `ModelFileError` if a file's unpacked arrays would be far larger than the file itself."""
    if unpacked > _most_bytes(path):
        raise ModelFileError(
            f"{path!r} has {os.path.getsize(path):,} bytes and would unpack to {unpacked:,}, more than {_MOST_GROWTH} "
            "times as many. It is no sound model: weights hardly get smaller when they are packed."
        )


def _check_described(path, configuration, custom_objects):
    """Raise `ModelFileError` if the layers that a file describes have far more weights than the file can hold.

    Most files have no large number among their settings, and then the network is not built for it.
    """
    if max(_integers_in_json(configuration), default=0) <= _LARGE_SETTING:
        return

    def build():
        with safe_mode():  # of the thread that builds the network
            return keras.saving.deserialize_keras_object(network, custom_objects, safe_mode=True)

    network = {name: value for name, value in configuration.items() if name != "compile_config"}
    counts = count_weights(build)
    if counts is not None and _BYTES * counts.weights > _most_bytes(path):
        raise ModelFileError(
            f"{path!r} has {os.path.getsize(path):,} bytes and describes a network of {counts.weights:,} weights, "
            "which the file cannot hold. It is no sound model."
        )


def _integers_in_json(value) -> Iterable[int]:
    """Yield all integers in a JSON value, at any depth, except random seeds."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            if name != "seed":
                yield from _integers_in_json(item)
    elif isinstance(value, list):
        for item in value:
            yield from _integers_in_json(item)


def _hdf5_configuration(path):
    """Return the JSON value that describes the network in an HDF5 file, or {} if there is none."""
    import h5py  # Keras needs it, too

    with h5py.File(path, "r") as file:
        return {"module": "keras", "registered_name": None, **json.loads(file.attrs.get("model_config", "{}"))}


def _array_bytes(file):
    """Return the bytes of all arrays in an HDF5 file, as its directory declares them."""
    import h5py

    total = 0

    def add_bytes(name, item):
        nonlocal total
        if isinstance(item, h5py.Dataset):
            total += math.prod(item.shape or ()) * item.dtype.itemsize

    with h5py.File(file, "r") as arrays:
        arrays.visititems(add_bytes)
    return total
