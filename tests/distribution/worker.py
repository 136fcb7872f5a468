"""Program: `encapnet train` as one of several workers, which also writes its own copy of the final weights.

python -m tests.distribution.worker OUT train FLAGS...; the environment has TF_CONFIG.
"""

import sys

from tests.trainers.fitting.run_callbacks import KeepWeights, run_command

if __name__ == "__main__":
    run_command(KeepWeights(sys.argv.pop(1)))
