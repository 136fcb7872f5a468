"""A run whose loss or weights become NaN or infinite stops; its error names the first such number."""

import re

import keras
import numpy as np
import pytest
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.fitting.checkpoints.checkpoint import Checkpoints
from encapnet_tf.trainers.fitting.non_finite import NonFiniteWatch
from encapnet_tf.trainers.fitting.train import train
from encapnet_tf.trainers.runs.errors import UserError

SETTINGS = {"epochs": 2, "num_capsules": 4, "depths": (0,), "capsule_dims": (2,), "strides": (2,),
            "routing": ("master",), "train_limit": 120, "batch_size": 16, "checkpoint_steps": 2,
            "routing_epochs": (0,)}  # fmt: skip


def error_and_checkpoint(path, callbacks=(), **settings):
    """Train until the run ends with an error; return the error's message and the run's newest checkpoint."""
    with pytest.raises(UserError) as error:
        train(resolve("digits", SETTINGS | settings), path, callbacks=callbacks)
    assert error.value.status == 1
    _, checkpoint = Checkpoints(path / "checkpoints").newest()
    assert all(np.isfinite(array).all() for array in checkpoint.arrays["model"])
    return str(error.value), checkpoint


def test_a_learning_rate_that_is_too_large(tmp_path):
    settings = {"learning_rate": 1e38, "schedule": "constant", "optimizer": "adam"}
    message, checkpoint = error_and_checkpoint(tmp_path / "run", **settings)
    assert re.search(
        r"at step \d of epoch 1; training stopped\. First non-finite number: the output of \w+, in step \d\.", message
    )
    assert f"The last good checkpoint is {tmp_path / 'run' / 'checkpoints'}/checkpoint-00000000" in message
    assert checkpoint.state["epoch"] == 0


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    """A callback spoils the weights after a step, so the step is good when it is repeated."""

    def spoil(batch, logs):
        if batch == 3:
            callback.model.get_layer("stem").bias.assign([np.nan] * 4)

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=spoil)
    message, checkpoint = error_and_checkpoint(tmp_path / "run", [callback])
    assert message.startswith("stem/bias became NaN or infinite at step 4 of epoch 1")
    assert "First non-finite number: not found when the steps were repeated" in message
    assert checkpoint.state["step"] == 2


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_the_watch_alone_ends_training_without_a_diagnosis(loss):
    watch = NonFiniteWatch()
    watch.on_epoch_begin(1)
    watch.on_train_batch_end(0, {"loss": 1.0})
    message = f"The loss became {loss} at step 3 of epoch 2; training stopped. A lower"
    with pytest.raises(UserError, match=message) as error:
        watch.on_train_batch_end(2, {"loss": loss})
    assert error.value.status == 1
