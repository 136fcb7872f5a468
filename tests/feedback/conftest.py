"""Fixtures of the feedback units' tests: fixed seeds."""

import keras
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(1)


@pytest.fixture
def rng():
    return np.random.default_rng(2)
