"""The progress bar, the line before it, and the TensorBoard files of capsule lengths and images."""

import io
import re
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
import tqdm.std
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.fitting import compiling_line, progress
from encapnet_tf.trainers.fitting.callbacks import TensorBoardExtras
from encapnet_tf.trainers.fitting.checkpoints.resume import Start
from encapnet_tf.trainers.fitting.compiling_line import CompilingLine
from encapnet_tf.trainers.fitting.progress import ProgressBar
from encapnet_tf.trainers.fitting.record import describe_compilation


@pytest.mark.parametrize("columns", [80, 200, 62, 30])
def test_images_per_second_and_time_left(monkeypatch, columns):
    """Steps of 2 s, 4 images each; the run begins in its second epoch, after one step."""
    now, stream = [100.0], io.StringIO()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(tqdm.std, "time", lambda: now[0])
    bar = ProgressBar(batch_size=4, steps=3, epochs=3, start=Start(1, 1), stream=stream)
    for epoch in (1, 2):
        bar.on_epoch_begin(epoch)
        for batch in range(3):
            now[0] += 2 * ((epoch, batch) > (1, 0)) + 30 * ((epoch, batch) == (1, 1))  # which compiles
            bar.on_train_batch_end(batch, {} if (epoch, batch) == (1, 0) else {"loss": 0.5, "accuracy": 0.25})
        bar.on_epoch_end(epoch)
    lines = [line for line in stream.getvalue().split("\r") if line.strip()]
    assert max(map(len, lines)) <= min(columns, 110) - 3, "there is room for ^C"
    texts = [re.sub(r"\[=+ *\]", "[]", line.strip()) for line in lines]
    bar, numbers = {
        200: (" []", "  loss 0.5000  accuracy 25.00%  2.0 images/s"),
        80: (" []", "  loss 0.5000  accuracy 25.00%"),
        62: ("", "  loss 0.5000  accuracy 25.00%"),
        30: ("", ""),
    }[columns]
    assert texts[0] == f"epoch 2/3{bar} 3/3{numbers}  00:06 left"
    assert f"epoch 3/3{bar} 2/3{numbers}  00:02 left" in texts
    assert texts[-1] == f"epoch 3/3{bar} 3/3{numbers}  00:00 left"
    if not bar:
        return
    filled, empty = re.search(r"\[(=+)( *)\] 2/3", "".join(lines)).groups()
    assert len(filled) / len(filled + empty) == pytest.approx(2 / 3, abs=0.1)


def test_the_line_is_cleared_when_training_is_interrupted(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    with ProgressBar(4, 3, 1, Start(), stream) as bar:
        bar.on_epoch_begin(0)
        for batch in range(3):
            bar.on_train_batch_end(batch, {"loss": 0.5, "accuracy": 0.25})
        assert stream.getvalue().endswith(" left")
        stream.write("^C")
    *_, cleared, end = stream.getvalue().split("\r")
    assert (cleared.strip(), end) == ("", "")
    assert len(cleared) == 79


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def wait_for(self, text):
        deadline = time.monotonic() + 60
        while text not in self.getvalue():
            assert time.monotonic() < deadline, self.getvalue()
            time.sleep(0.01)


def test_compiling_is_shown_until_the_first_step_is_done(monkeypatch):
    """The run begins in its second epoch, after one step, which is not trained again."""
    now, terminal, threads = [100.0], Terminal(), threading.active_count()
    monkeypatch.setattr(compiling_line, "_REFRESH_SECONDS", 0.01)
    monkeypatch.setattr(compiling_line.time, "perf_counter", lambda: now[0])
    with CompilingLine(steps=3, start=Start(1, 1), stream=terminal) as line:
        line.on_epoch_begin(1)
        terminal.wait_for("\rcompiling ... 0 s")
        line.on_train_batch_end(0)
        now[0] = 112.3
        terminal.wait_for("\rcompiling ... 12 s")
        line.on_train_batch_end(1)
        assert terminal.getvalue().endswith("\r" + " " * len("compiling ... 12 s^C") + "\r"), "it is cleared"
        shown = terminal.getvalue()
        line.on_train_batch_end(2)
        line.on_epoch_begin(2)
    assert terminal.getvalue() == shown
    assert threading.active_count() == threads


def test_compiling_ends_with_an_error_and_is_one_line_in_a_file():
    terminal, file = Terminal(), io.StringIO()
    line = CompilingLine(3, Start(), terminal)
    line.on_epoch_begin(0)
    terminal.wait_for("compiling")
    line.__exit__(KeyboardInterrupt)
    assert terminal.getvalue().endswith(" \r")
    with CompilingLine(3, Start(), file) as line:
        for epoch in (0, 1):
            line.on_epoch_begin(epoch)
            line.on_train_batch_end(0)
    assert file.getvalue() == "compiling ...\n"


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
    values = {}
    for event in tf.compat.v1.train.summary_iterator(str(file)):
        for value in event.summary.value:
            values[value.tag] = tf.make_ndarray(value.tensor)
    assert set(values) == {"training images", "length, the true class", "length, other classes"}
    assert values["length, the true class"][:, 2].sum() == 5
    assert values["length, other classes"][:, 2].sum() == 10


def test_compiling_the_whole_step_is_announced(monkeypatch):
    config = resolve("digits", {})
    assert describe_compilation(config) is None
    config = resolve("digits", {"jit_compile": "true"})
    assert "takes minutes and gigabytes of memory" in describe_compilation(config)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind: [f"{kind}:0"])
    assert describe_compilation(config) is None
