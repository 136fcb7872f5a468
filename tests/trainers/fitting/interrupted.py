"""Runs that tests interrupt, and the comparison of runs that should have become equal."""

import numpy as np
import pytest
from encapnet_tf.trainers.evaluation.predictions import saved_model
from encapnet_tf.trainers.fitting.train import train
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory

STEPS = 6  # an epoch of the configuration `tiny`


def stop(config, callback, path=None, resume=None, **options):
    """Train until a callback sends SIGTERM; return the interrupted run."""
    with pytest.raises(UserError, match=r"Stopped by SIGTERM. Everything is saved; resume with: ") as error:
        train(config, path, resume, callbacks=[callback], **options)
    assert error.value.status == 143
    return RunDirectory.unfinished(path or resume.path)


def assert_same_run(run, other):
    """Both runs' models bit for bit, and their metrics."""
    for file in (RunDirectory.best_model_file, RunDirectory.final_model_file):
        ours, theirs = (saved_model(folder.file(file)).variables for folder in (run, other))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(np.array(a), np.array(b), err_msg=f"{file}: {a.path}")
    for file in (RunDirectory.metrics_file, RunDirectory.agreement_file):
        ours, theirs = (
            [{k: v for k, v in row.items() if k != "seconds"} for row in folder.read_json_lines(file)]
            for folder in (run, other)
        )
        assert ours == theirs
    ours, theirs = (folder.read_json(RunDirectory.summary_file) for folder in (run, other))
    for timed in ("train_seconds", "images_per_second"):
        ours.pop(timed), theirs.pop(timed)
    assert ours == theirs
