"""Entry point for `runpy.run_module("encapnet_tf")`, which runs the `encapnet` command.

`python -m encapnet_tf` does not come here: the package hands over to `python -m encapnet_start` first.
"""

import sys

from encapnet_start import main

if __name__ == "__main__":
    sys.argv[0] = "encapnet"
    main()
