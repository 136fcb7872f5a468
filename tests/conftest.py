"""Settings for every test: quiet TensorFlow, and no test leaves Keras's global state changed for the next one."""

import fcntl
import gc
import os
import sys

# All variables are set before TensorFlow is imported, which reads them once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# XLA compiles for seconds what runs for microseconds here; unoptimised code halves that. `XLA_FLAGS= pytest` optimises.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
if "PYTEST_XDIST_WORKER" in os.environ:  # one core for each test process, so that they do not wait for each other
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import pytest


def pytest_configure(config):
    gc.set_threshold(
        200_000, 20, 100
    )  # TensorFlow's graphs have so many objects that collections took a tenth of the time
    # Keras's own `np.array(variable)`, hundreds of times over.
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    )
    # KerasTuner's own names for threads.
    config.addinivalue_line("filterwarnings", r"ignore:(currentThread|getName)\(\) is deprecated:DeprecationWarning")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """Return a function of (name, fill): the folder of that name, which the first worker to ask for it fills."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the parent folder belongs to this run of the tests, too
        base = base.parent

    def folder(name, fill):
        with open(base / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (base / name / "complete").exists():
                (base / name).mkdir(exist_ok=True)
                fill(base / name)
                (base / name / "complete").touch()
        return base / name

    return folder


@pytest.fixture(autouse=True)
def _clean_keras():
    """Restores the dtype policy that a test changed."""
    yield
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
