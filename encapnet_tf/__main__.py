"""Program of `python -m encapnet_tf`, which runs the `encapnet` command.

Python imports the package, and so TensorFlow, before it runs this file: `encapnet` is quicker.
"""

import sys

from encapnet_start import main

if __name__ == "__main__":
    sys.argv[0] = "encapnet"
    main()
