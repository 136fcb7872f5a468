"""The process that filters standard error, around small programs that write what TensorFlow writes."""

import os
import signal
import subprocess
import sys

import pytest

LINE = "I0000 00:00:1795698171.933532   17885 port.cc:153] oneDNN custom operations are on."
START = f"""
import os, signal, subprocess, sys, time
from encapnet_start import tensorflow_log
tensorflow_log.hide()
os.write(2, b"{LINE}\\n")
"""


def run(program, **environment):
    """Run a program after `hide`, and return its exit status, standard output and standard error."""
    names = ("TF_CPP_MIN_LOG_LEVEL", "TF_CPP_VMODULE", "TF_CPP_MAX_VLOG_LEVEL")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    process = subprocess.run(
        [sys.executable, "-c", START + program], env=kept | environment, capture_output=True, text=True, timeout=60
    )
    return process.returncode, process.stdout, process.stderr


@pytest.mark.parametrize(
    ("program", "status", "errors"),
    [
        ("os.write(2, b'E0000 00:00:1.5 17 x.cc:1] an error\\n')", 0, "E0000 00:00:1.5 17 x.cc:1] an error\n"),
        ("os.write(2, b'F0000 00:00:1.5 17 x.cc:1] failed\\n'); os.abort()", -6, "F0000 00:00:1.5 17 x.cc:1] failed\n"),
        ("os.write(2, b'no end'); os.kill(os.getpid(), signal.SIGKILL)", -9, "no end"),
        ("subprocess.run([sys.executable, '-c', 'import os; os.write(2, b\"a child\\\\n\")'])", 0, "a child\n"),
        ("print('direct', file=sys.stderr); sys.exit(3)", 3, "direct\n"),
        ("os.close(2)", 0, ""),
    ],
)
def test_log_lines_are_hidden_and_the_rest_is_shown(program, status, errors):
    assert run(program) == (status, "", errors)


def test_a_traceback_is_shown():
    status, _, errors = run("raise RuntimeError('a mistake')")
    assert status == 1
    assert errors.startswith("Traceback")
    assert errors.endswith("RuntimeError: a mistake\n")


@pytest.mark.parametrize("variable", ["TF_CPP_MIN_LOG_LEVEL", "TF_CPP_MAX_VLOG_LEVEL"])
def test_a_user_who_asks_for_the_log_gets_it(variable):
    assert run("", **{variable: "1"}) == (0, "", f"{LINE}\n")
    assert run("", TF_CPP_MIN_LOG_LEVEL="3") == (0, "", "")


def test_logs_of_python_stay_hidden_when_a_library_sets_their_level():
    """As TensorFlow's converter to TFLite does."""
    program = """
from absl import logging
import logging as standard
logging.use_absl_handler()
logging.set_verbosity(logging.INFO)
standard.basicConfig(level=standard.INFO)
for name in ("absl", "tensorflow"):
    standard.getLogger(name).setLevel(standard.INFO)
    standard.getLogger(name).info("Writing fingerprint")
    standard.getLogger(name).error("an error")
"""
    status, _, errors = run(program)
    assert status == 0
    assert "fingerprint" not in errors
    assert errors.count("an error") >= 2


def test_standard_error_is_closed():
    program = "from encapnet_start import tensorflow_log\ntensorflow_log.hide()\nprint('alive')"
    command = [sys.executable, "-c", program]
    process = subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", *command], capture_output=True, text=True, timeout=60)
    assert (process.returncode, process.stdout) == (0, "alive\n")


def test_the_filter_outlives_signals_to_the_group_and_leaves_no_process():
    program = """
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print(os.getpgid(0), flush=True)
sys.stdin.readline()
os.write(2, b"after the signals\\n")
"""
    process = subprocess.Popen(
        [sys.executable, "-c", START + program],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    group = int(process.stdout.readline())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.killpg(group, number)
    _, errors = process.communicate("\n", timeout=60)
    assert errors == "after the signals\n"
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
