"""Program: `encapnet train ...`, which also appends the number of every step it makes to a file.

python -m tests.trainers.fitting.counted_run STEPS_FILE train FLAGS...
"""

import os
import sys

from encapnet_tf.trainers.commands import cli
from encapnet_tf.trainers.fitting.checkpointing import Checkpointing


def main():
    file = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    save = Checkpointing.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        step = batch + 1
        if self._epoch > self.start.epoch or step > self.start.step:
            os.write(file, f"{os.getpid()} {self._epoch * self.steps + step}\n".encode())
        save(self, batch, logs)

    Checkpointing.on_train_batch_end = on_train_batch_end
    cli.main()


if __name__ == "__main__":
    main()
