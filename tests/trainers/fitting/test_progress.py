"""The bar on a terminal, and what TensorBoard gets."""

import io

import numpy as np
import tensorflow as tf
from encapnet_tf.trainers.fitting import progress
from encapnet_tf.trainers.fitting.progress import ProgressBar, duration
from encapnet_tf.trainers.fitting.resume import Start
from encapnet_tf.trainers.fitting.tensorboard_extras import TensorBoardExtras


def test_durations():
    assert [duration(s) for s in (0.4, 59.6, 3723)] == ["0:00", "1:00", "1:02:03"]


def test_pace_and_time_left(monkeypatch):
    """Steps of 2 s, 4 images each; the run begins in its second epoch, after one step."""
    clock, stream = iter(range(100, 200, 2)), io.StringIO()
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    bar = ProgressBar(batch_size=4, steps=3, epochs=3, start=Start(1, 1), stream=stream)
    logs = {"loss": 0.5, "accuracy": 0.25}
    for epoch in (1, 2):
        bar.on_epoch_begin(epoch)
        for batch in range(3):
            bar.on_train_batch_end(batch, {} if (epoch, batch) == (1, 0) else logs)
        bar.on_epoch_end(epoch)
    drawn = stream.getvalue().split("\r\x1b[K")
    assert drawn[1] == f"epoch 2/3 [{'=' * 24}] 3/3  loss 0.5000  accuracy 25.00%  2 images/s  0:06 left"
    assert [line.split("  ")[-1] for line in drawn if line] == ["0:06 left", "0:02 left", "0:00 left"]


class Lengths:
    """A model of three class capsules: image i is of length i / 10 in every class."""

    def __call__(self, images, training):
        assert not training
        return tf.tile(images[:, 0, 0] / 10, (1, 3))


def test_tensorboard_gets_lengths_and_images(tmp_path):
    images = np.arange(5, dtype="float32").reshape(5, 1, 1, 1)
    extras = TensorBoardExtras(tmp_path, images, np.array([0, 1, 2, 0, 1]), tf.zeros((4, 8, 8, 3)))
    extras.set_model(Lengths())
    extras.on_train_begin()
    extras.on_epoch_end(0)
    extras.on_train_end()
    (file,) = (tmp_path / "capsules").iterdir()
    found = {}
    for event in tf.compat.v1.train.summary_iterator(str(file)):
        for value in event.summary.value:
            found[value.tag] = tf.make_ndarray(value.tensor)
    assert set(found) == {"training images", "length, the true class", "length, other classes"}
    assert found["length, the true class"][:, 2].sum() == 5
    assert found["length, other classes"][:, 2].sum() == 10
