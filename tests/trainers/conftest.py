"""Fixtures of the trainers' tests: finished and interrupted runs, made once for all workers, and signals."""

import signal

import pytest

# The digits in 6 steps an epoch. Dropped batches, mixed labels, averaged weights and a penalty, to be told apart.
TINY = {
    "epochs": 3,
    "num_capsules": 4,
    "depths": (0,),
    "capsule_dims": (2,),
    "strides": (2,),
    "routing": ("master",),
    "train_limit": 120,
    "batch_size": 16,
    "checkpoint_steps": 4,
    "routing_epochs": (1, 3),
    "ema": 0.8,
    "augment": ("affine", "mixup"),
    "optimizer": "adam",
    "l2": 1e-4,
}


@pytest.fixture(scope="session")
def tiny():
    """The configuration of `finished_run`: three epochs of six steps on the digits."""
    from encapnet_tf.trainers.config.recipes import resolve

    return resolve("digits", TINY)


@pytest.fixture(scope="session")
def finished_run(shared_folder, tiny):
    """A finished run of the configuration `tiny`, to be read only."""
    from encapnet_tf.trainers.fitting.train import train
    from encapnet_tf.trainers.runs.run_directory import RunDirectory

    return RunDirectory(shared_folder("finished_run", lambda folder: train(tiny, folder / "run")) / "run")


@pytest.fixture
def heeding_ctrl_c():
    """Ctrl-C as at a terminal, for this process and its children; a job in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
