"""Loading of saved Keras models that contain layers of this package."""

import json
import os
import re
import zipfile

import keras

from encapnet_tf.keras_private import safe_mode
from encapnet_tf.model_file_sizes import HDF5_SUFFIXES, ModelFileError, check_sizes

_MEMORY_ERRORS = ("OOM when allocating", "failed to allocate memory")


def load_model(path, custom_objects=None, compile=True):
    """Load a saved Keras model (`.keras` or `.h5` file) that may contain layers of this package.

    Keras finds a saved class only after its import. Importing this package registers all its classes, so a call of this
    function is enough. Keras's safe mode stays on: a file with pickled Python code (a Lambda layer) is refused. Before
    Keras 3.11 a `.keras` file made to attack can switch that off (CVE-2025-9906): take a newer one for files of others.

    Args:
        path: path of a file written by `model.save("name.keras")`, or by `model.save("name.h5")`, which Keras itself
            does not load again if the model is of a registered class, as those of `models` are.
        custom_objects: name -> class, for classes of your own.
        compile: whether to restore the optimizer, loss and metrics too.

    Returns:
        The Keras model.

    Raises:
        FileNotFoundError: there is no such file.
        ModelFileError: the file is not a sound Keras model. It is a folder, of another format, damaged or cut off,
            holds code that safe mode refuses, unpacks to more than 20 times its size (and 256 MiB) or describes a
            network of such a size, does not fit into memory, or was saved with a class or function that is neither
            registered nor in `custom_objects`, or with a newer Keras than the installed one, which cannot read it. The
            error is a `ValueError`.

    Example:

    >>> import encapnet_tf as en, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "tiny.keras")
    >>> en.models.EncapNet((8, 8, 1), classes=2, depths=(1,), capsule_dims=(2,), strides=(2,)).save(path)
    >>> en.load_model(path).output_shape
    (None, 2)
    """
    path = os.fsdecode(path)
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no model file at {path!r}.")
    if not os.path.isfile(path):
        what = "a folder" if os.path.isdir(path) else "a device or a pipe"
        raise ModelFileError(f"{path!r} is {what} and no Keras model. Expected a file such as name.keras.")
    try:
        check_sizes(path, custom_objects)
        model = _load(path, custom_objects=custom_objects, compile=compile, safe_mode=True)
    except ModelFileError:
        raise
    except Exception as error:  # a damaged file can raise anything: zipfile, zlib, h5py, Keras and TensorFlow do
        raise ModelFileError(_problem(path, error)) from error
    if not isinstance(model, keras.Model):
        raise ModelFileError(f"{path!r} holds an object of class {type(model).__name__} and no Keras model.")
    return model


def _problem(path, error):
    """Return a sentence that says why a model cannot be loaded."""
    message = str(error)
    if unknown := re.search("Could not locate [^.]*", message):
        return (
            f"{path!r} was saved with a class or function of your own that is not known here. Import the "
            "module that registers it, or pass custom_objects={name: class}. If it is a loss, a metric or an "
            f"optimizer and you do not train, pass compile=False. Keras says: {unknown[0]}."
        )
    if isinstance(error, MemoryError) or any(text in message for text in _MEMORY_ERRORS):
        return f"{path!r} describes a network that does not fit into this machine's memory, or is damaged."
    if isinstance(error, RecursionError):
        return f"{path!r} is not a sound Keras model: its configuration is nested too deeply."
    return f"{path!r} is not a Keras model or is damaged: {_shorten(message) or type(error).__name__}"


def _shorten(message):
    """Return a message without line breaks, and without the middle if it has more than 600 characters.

    Keras names the object first and the cause last.
    """
    words = " ".join(message.split())
    return words if len(words) <= 600 else f"{words[:300]} ... {words[-300:]}"


def _load(path, **options):
    """Load a saved Keras model, or raise `ModelFileError` if the installed Keras is too old for the file."""
    if path.endswith(HDF5_SUFFIXES):
        options["custom_objects"] = {**_registered_classes(), **(options["custom_objects"] or {})}
    try:
        with safe_mode():
            return keras.saving.load_model(path, **options)
    except Exception as error:
        version = _keras_version(path)
        if _release(version) <= _release(keras.__version__) or "Could not locate" in str(error):
            raise
        *_, reason = str(error).strip().split("\n")
        raise ModelFileError(
            f"{path!r} was saved with Keras {version} and cannot be loaded with the older Keras "
            f'{keras.__version__} that is installed. Install a newer one: pip install "keras>={version}". '
            f"Keras says: {reason}"
        ) from error


def _registered_classes():
    """Return all objects registered with Keras in a dictionary, keyed by name without the package prefix."""
    return {name.split(">")[-1]: value for name, value in keras.saving.get_custom_objects().items()}


def _keras_version(path):
    """Return the version of Keras that saved a `.keras` file, or "" if the version cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("metadata.json"))["keras_version"])
    except Exception:  # a damaged archive can raise anything
        return ""


def _release(version):
    """Convert a version such as "3.15.1" to a list of integers, so that versions can be compared."""
    return [int(number) for number in re.findall(r"\d+", version)[:3]]
