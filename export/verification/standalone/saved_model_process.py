"""Script that runs a SavedModel with plain TensorFlow, in a process that cannot import encapnet_tf.

Usage: python saved_model_process.py FOLDER. Reads FOLDER/requests.pickle, which `runtimes` writes, and writes
FOLDER/answers.pickle.
"""

import pickle
import sys
from pathlib import Path


class ImportBlocker:
    """An import hook that forbids imports of the package encapnet_tf."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "encapnet_tf":
            raise ImportError(f"{name} must not be imported in this process")


def answers(path, requests):
    """Run a SavedModel on prediction requests, and yield the outputs or the error message of each request.

    A request is a pair (signature, images); outputs are {output: array}.
    """
    import tensorflow as tf

    signatures = tf.saved_model.load(path).signatures
    for signature, images in requests:
        try:
            outputs = signatures[signature](images=tf.constant(images, tf.string if isinstance(images, list) else None))
        except (tf.errors.OpError, ValueError, TypeError) as error:
            yield str(error)
        else:
            yield {name: value.numpy() for name, value in outputs.items()}


if __name__ == "__main__":
    sys.meta_path.insert(0, ImportBlocker())
    folder = Path(sys.argv[1])
    task = pickle.loads((folder / "requests.pickle").read_bytes())
    result = list(answers(task["saved_model"], task["requests"]))
    (folder / "answers.pickle").write_bytes(pickle.dumps(result))
