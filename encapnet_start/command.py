"""Entry point of the `encapnet` command-line program."""

from . import interruption, standard_streams


def main() -> None:
    """Run the `encapnet` command, and import Keras and TensorFlow only if the command line has no mistakes.

    Never returns: the process ends with the command's exit status.
    """
    standard_streams.open_missing()
    interruption.end_at_ctrl_c()  # before any import that takes time
    import os

    from . import tensorflow_log
    from .deferred_package import DeferredPackage

    library = DeferredPackage("encapnet_tf")
    from encapnet_tf.trainers.commands import cli

    def load_library():
        os.environ["KERAS_BACKEND"] = "tensorflow"  # the command trains on no other backend
        tensorflow_log.hide()
        library.execute()
        interruption.raise_at_ctrl_c()

    cli.main(load_library)
