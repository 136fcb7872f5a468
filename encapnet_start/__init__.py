"""Launcher of the `encapnet` command, which checks the command line before it imports Keras and TensorFlow.

It also hides TensorFlow's log messages below the level ERROR.

The package lies beside `encapnet_tf`, because importing any module of `encapnet_tf` first imports all its layers and,
with them, Keras and TensorFlow, which takes seconds.
"""

from .command import main

__all__ = ["main"]
