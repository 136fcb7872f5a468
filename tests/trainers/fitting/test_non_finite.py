"""A run whose numbers are no longer finite stops, with its last good checkpoint, and says where it began."""

import re

import numpy as np
import pytest
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.fitting.checkpoint import Checkpoints
from encapnet_tf.trainers.fitting.checkpointing import Checkpointing
from encapnet_tf.trainers.fitting.train import train
from encapnet_tf.trainers.runs.errors import UserError

SETTINGS = {"epochs": 2, "num_capsules": 4, "depths": (0,), "capsule_dims": (2,), "strides": (2,),
            "routing": ("master",), "train_limit": 120, "batch_size": 16, "checkpoint_steps": 2,
            "routing_epochs": (0,)}  # fmt: skip


def stopped(path, **settings):
    """The message of a run that stops, and its newest checkpoint."""
    with pytest.raises(UserError) as error:
        train(resolve("digits", SETTINGS | settings), path)
    assert error.value.status == 1
    _, checkpoint = Checkpoints(path / "checkpoints").newest()
    assert all(np.isfinite(array).all() for array in checkpoint.arrays["model"])
    return str(error.value), checkpoint


def test_a_rate_that_is_too_large(tmp_path):
    text, checkpoint = stopped(tmp_path / "run", learning_rate=1e38, schedule="constant", optimizer="adam")
    assert re.search(
        r"at step \d of epoch 1; training stopped\. First not finite: the output of \w+, in step \d\.", text
    )
    assert f"The last good checkpoint is {tmp_path / 'run' / 'checkpoints'}/checkpoint-00000000" in text
    assert checkpoint.state["epoch"] == 0


def test_weights_that_go_bad_are_never_saved(tmp_path, monkeypatch):
    """Here they go bad by another hand than the step's, so the step, made again, is good."""
    save = Checkpointing.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        if batch == 3:
            self.model.get_layer("stem").bias.assign([np.nan] * 4)
        save(self, batch, logs)

    monkeypatch.setattr(Checkpointing, "on_train_batch_end", on_train_batch_end)
    text, checkpoint = stopped(tmp_path / "run")
    assert text.startswith("stem/bias became NaN or infinite at step 4 of epoch 1")
    assert "First not finite: not to be found again" in text
    assert checkpoint.state["step"] == 2
