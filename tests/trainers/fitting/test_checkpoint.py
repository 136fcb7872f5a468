"""Checkpoint files, the lock and temporary files: complete or absent, and damage is reported. Signals."""

import os
import signal
from unittest import mock

import numpy as np
import pytest
from encapnet_tf.trainers.fitting.checkpoints.checkpoint import Checkpoint, Checkpoints, Damaged, digest
from encapnet_tf.trainers.fitting.interruption import StopSignal
from encapnet_tf.trainers.runs.atomic_files import remove_temporary_files, replacing
from encapnet_tf.trainers.runs.atomic_folder import locked
from encapnet_tf.trainers.runs.errors import UserError


def _checkpoint(number=0.0, **state):
    arrays = {"model": [np.full((2, 3), number, "float32"), np.arange(4)], "optimizer": [np.float64(number)]}
    return Checkpoint(arrays, {"number": number, **state})


def test_a_file_is_read_as_it_was_written(tmp_path):
    _checkpoint(0.1).write(tmp_path / "a.ckpt")
    read = Checkpoint.read(tmp_path / "a.ckpt")
    assert read.state == {"number": 0.1}
    for group, arrays in _checkpoint(0.1).arrays.items():
        for expected, array in zip(arrays, read.arrays[group], strict=True):
            assert array.dtype == expected.dtype
            np.testing.assert_array_equal(array, expected)


def test_arrays_keep_their_order(tmp_path):
    Checkpoint({"model": [np.array(i) for i in range(12)]}, {}).write(tmp_path / "a.ckpt")
    assert [int(array) for array in Checkpoint.read(tmp_path / "a.ckpt").arrays["model"]] == list(range(12))


@pytest.mark.parametrize("at", [0, 30, 200, -1])
def test_one_changed_byte_is_seen(tmp_path, at):
    path = tmp_path / "a.ckpt"
    _checkpoint().write(path)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged):
        Checkpoint.read(path)


@pytest.mark.parametrize("length", [0, 10, 100, 500])
def test_a_cut_file_is_seen(tmp_path, length):
    path = tmp_path / "a.ckpt"
    _checkpoint().write(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(Damaged):
        Checkpoint.read(path)


def test_the_last_few_are_kept_and_the_newest_is_found(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", keep=2)
    assert checkpoints.newest() is None
    for step in (0, 5, 10):
        checkpoints.save(step, _checkpoint(step))
    assert [path.name for path in checkpoints.paths()] == ["checkpoint-000000005.ckpt", "checkpoint-000000010.ckpt"]
    assert checkpoints.newest()[1].state == {"number": 10}


def test_a_damaged_newest_falls_back_and_says_so(tmp_path):
    checkpoints, lines = Checkpoints(tmp_path / "c"), []
    paths = [checkpoints.save(step, _checkpoint(step)) for step in (5, 10)]
    paths[1].write_bytes(paths[1].read_bytes()[:-7])
    path, newest = checkpoints.newest(lines.append)
    assert (path, newest.state) == (paths[0], {"number": 5})
    assert "checkpoint-000000010.ckpt is damaged (its checksum is wrong)" in lines[0]
    assert paths[1].with_name(f"{paths[1].name}.damaged1").exists()


def test_the_best_model_goes_with_its_checkpoint(tmp_path):
    best, checkpoints, lines = tmp_path / "best.keras", Checkpoints(tmp_path / "c", keep=2), []
    checkpoints.save(0, _checkpoint(0))
    for step in (1, 2, 3):
        with replacing(best) as temporary:
            temporary.write_text(f"of step {step}")
        path = checkpoints.save(step, _checkpoint(step, best={"digest": digest(best)}), best)
    checkpoints.restore_best_model(checkpoints.paths()[0], best)
    assert best.read_text() == "of step 2"
    assert len(list(checkpoints.folder.glob("*.best.keras"))) == 2
    path.with_suffix(".best.keras").write_text("another")
    path, newest = checkpoints.newest(lines.append)
    assert newest.state["number"] == 2
    assert "the best model that belongs to it" in lines[0]


def test_a_best_model_newer_than_the_checkpoint_is_removed(tmp_path):
    best, checkpoints = tmp_path / "best.keras", Checkpoints(tmp_path / "c")
    path = checkpoints.save(0, _checkpoint())
    best.write_text("of the first epoch, whose checkpoint was never written")
    checkpoints.restore_best_model(path, best)
    assert not best.exists()


def test_two_never_hold_the_lock(tmp_path):
    refused = pytest.raises(UserError, match=rf"written by process {os.getpid()} on ")
    with locked(tmp_path / "lock"), refused, locked(tmp_path / "lock"):
        pass
    with locked(tmp_path / "lock"):
        pass


def test_a_killed_process_leaves_no_lock_and_its_leftovers_are_removed(tmp_path):
    child = os.fork()  # a new interpreter would take seconds to import the package
    if child == 0:
        with locked(tmp_path / "lock"), replacing(tmp_path / "a.ckpt") as path:
            path.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    (tmp_path / ".hidden").write_text("not ours")
    assert len(list(tmp_path.iterdir())) == 3
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()}")
        remove_temporary_files(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".hidden", "lock"}


def test_a_read_only_folder_is_reported(tmp_path, monkeypatch):
    def read_only(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(UserError, match=r"Cannot write in .*Read-only file system"), locked(tmp_path / "lock"):
        pass


def test_sigterm_sets_a_flag_inside_and_ends_the_process_outside():
    with StopSignal() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_ctrl_c_that_python_drops_is_raised_again(heeding_ctrl_c):
    class Dropping:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
            sum(range(10))  # the handler runs between two of Python's instructions

    with mock.patch("sys.unraisablehook"), StopSignal() as stop:
        stop.raise_lost_interrupt()  # none came yet
        Dropping()
        with pytest.raises(KeyboardInterrupt):
            stop.raise_lost_interrupt()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_ctrl_c_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignal() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            stop.raise_lost_interrupt()
    finally:
        signal.signal(signal.SIGINT, before)
