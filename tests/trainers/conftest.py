"""Fixtures of the trainers' tests."""

import signal

import pytest


@pytest.fixture
def heeding_ctrl_c():
    """Ctrl-C as at a terminal, for this process and its children; a job in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
