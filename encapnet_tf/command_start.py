"""What the `encapnet` command needs in its environment before Keras and TensorFlow are imported; importing it sets it.

The command's own module is too late for it: importing that one imports this package, and so Keras, first.
"""

import os
import sys

if os.path.basename(sys.argv[0]) == "encapnet":
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
