"""Module that runs the `encapnet` command for `python -m encapnet_start`."""

import sys

from .command import main

if __name__ == "__main__":
    sys.argv[0] = "encapnet"
    main()
