"""Capsule layers and networks for Keras, built from fast convolutions ("Neural Network Encapsulation", ECCV 2018).

Importing this package registers every class with Keras, so that saved models that use them can be loaded.
"""

from encapnet_tf import callbacks, interop, layers, losses, models, ops, optimizers
from encapnet_tf.feedback import attach_feedback, strip_feedback
from encapnet_tf.saving import load_model

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "attach_feedback",
    "callbacks",
    "interop",
    "layers",
    "load_model",
    "losses",
    "models",
    "ops",
    "optimizers",
    "strip_feedback",
]
