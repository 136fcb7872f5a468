"""Capsule layers and networks for Keras, including EncapNet ("Neural Network Encapsulation", ECCV 2018).

Importing this package registers every class with Keras, so that saved models that use them can be loaded.
"""

import os
import sys

# `python -m encapnet_tf` imports this file before it runs `__main__.py`, which would be late: see `encapnet_start`.
if sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)] == __name__:
    os.execv(sys.executable, [*sys.orig_argv[: -len(sys.argv)], "encapnet_start", *sys.argv[1:]])

from encapnet_tf import callbacks, explain, interop, layers, losses, metrics, models, ops, optimizers
from encapnet_tf.feedback import attach_feedback, strip_feedback
from encapnet_tf.model_file_sizes import ModelFileError
from encapnet_tf.reconstruction import attach_reconstruction, reconstruct, strip_reconstruction
from encapnet_tf.saving import load_model

__version__ = "0.1.0"

__all__ = [
    "ModelFileError",
    "__version__",
    "attach_feedback",
    "attach_reconstruction",
    "callbacks",
    "explain",
    "interop",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "reconstruct",
    "strip_feedback",
    "strip_reconstruction",
]


def __dir__() -> list[str]:
    """Return the public names of this module for `dir()` and tab completion."""
    return list(__all__)
