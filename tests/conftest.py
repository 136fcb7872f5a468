"""Settings for every test: quiet TensorFlow, and no test leaves Keras's global state changed for the next one."""

import os
import sys

# Both before TensorFlow is imported, or they are not heard.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# XLA compiles for seconds what runs for microseconds here; unoptimised code halves that. `XLA_FLAGS= pytest` optimises.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import pytest


def pytest_configure(config):
    # Keras's own `np.array(variable)`, hundreds of times over.
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    )
    # KerasTuner's own names for threads.
    config.addinivalue_line("filterwarnings", r"ignore:(currentThread|getName)\(\) is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def _clean_keras():
    """Restores the dtype policy that a test changed."""
    yield
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
