"""Environment variables for the `encapnet` command, set before Keras and TensorFlow are imported.

The command's own module could not set them: importing it imports this package, and so Keras, first.
"""

import os
import sys

if os.path.basename(sys.argv[0]) == "encapnet":
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
