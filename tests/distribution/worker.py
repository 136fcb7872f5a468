"""Program: `encapnet train` as one of several workers, which also keeps its own copy of the weights in the end.

python -m tests.distribution.worker OUT train FLAGS...; the environment has TF_CONFIG.
"""

import sys

import keras
import numpy as np
from encapnet_tf.trainers.commands import cli
from encapnet_tf.trainers.fitting import fit as fitting


def main():
    out = sys.argv.pop(1)
    fit = fitting.fit

    def fit_and_keep(model, *args, **kwargs):
        result = fit(model, *args, **kwargs)
        np.savez(out, *(keras.ops.convert_to_numpy(variable) for variable in model.variables))
        return result

    fitting.fit = fit_and_keep
    cli.main()


if __name__ == "__main__":
    main()
