"""Start of the `encapnet` command: quick answers to wrong command lines, and no start-up log of TensorFlow.

The package lies beside `encapnet_tf`, because importing any module of `encapnet_tf` first imports all its layers and,
with them, Keras and TensorFlow, which takes seconds.
"""

from .command import main

__all__ = ["main"]
