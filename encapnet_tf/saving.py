"""Loading models that use this package's classes."""

import os
import zipfile

import keras


def load_model(path, custom_objects=None, compile=True):
    """Loads a `.keras` file with this package's classes at hand.

    A saved class can only be found where it was imported. This function lives in the package whose import registers
    them all, so `encapnet_tf.load_model(path)` is enough. Keras's safe mode stays on: a file that holds pickled Python
    code (a Lambda layer) is refused.

    Args:
        path: path of a file written by `model.save("name.keras")`.
        custom_objects: name -> class, for classes of your own.
        compile: whether to restore optimizer, loss and metrics too.

    Returns:
        The Keras model.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no Keras model, is damaged, or holds code that safe mode refuses.

    Example:

    >>> import encapnet_tf as en, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "tiny.keras")
    >>> en.models.EncapNet((8, 8, 1), classes=2, depths=(1,), capsule_dims=(2,), strides=(2,)).save(path)
    >>> en.load_model(path).output_shape
    (None, 2)
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no model at {os.fspath(path)!r}.")
    if os.path.isfile(path) and os.fspath(path).endswith(".keras") and not zipfile.is_zipfile(path):
        raise ValueError(f"{os.fspath(path)!r} is no Keras model, or is truncated: it is not a whole zip archive.")
    try:
        return keras.saving.load_model(path, custom_objects=custom_objects, compile=compile, safe_mode=True)
    except (OSError, KeyError) as error:
        raise ValueError(f"{os.fspath(path)!r} is no Keras model, or is damaged: {error}") from error
