"""Fixtures of the tests of one training."""

import pytest


@pytest.fixture
def without_report(monkeypatch):
    """Leaves the report out of finished runs: its pictures take longer than such a training."""
    monkeypatch.setattr("encapnet_tf.trainers.fitting.record.write_report", lambda run, summary: None)
