"""Program: `encapnet train ...`, which also appends the number of every step that it trains to a file.

python -m tests.trainers.fitting.counted_run STEPS_FILE train FLAGS...
"""

import os
import sys

from tests.trainers.fitting.run_callbacks import StepLog, run_command

if __name__ == "__main__":
    run_command(StepLog(os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND)))
