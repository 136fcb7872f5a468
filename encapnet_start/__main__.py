"""Entry point of `python -m encapnet_start`, which does the same as the `encapnet` command."""

import sys

from .command import main

if __name__ == "__main__":
    sys.argv[0] = "encapnet"
    main()
