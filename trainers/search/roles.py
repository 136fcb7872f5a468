"""Role of a process in a hyper-parameter search, such as chief or worker.

KerasTuner's environment variables give the role of a process. Workers show by heartbeat files that they make progress.
"""

import os
import threading
import time
from pathlib import Path

from ..runs.errors import UserError

ALONE, CHIEF, WORKER = "alone", "chief", "worker"
# KerasTuner's own variables: address and port of the chief, and the name of this process.
ADDRESS_VARIABLE, PORT_VARIABLE = "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"
NAME_VARIABLE = "KERASTUNER_TUNER_ID"
SUPERVISOR_VARIABLE = "ENCAPNET_TUNE_SUPERVISOR"  # process id of the supervisor that started this worker
# TensorFlow keeps what XLA compiled: on the digits a process grows by 0.2 to 0.4 GiB for each model that it compiles,
# whether or not the jitted helpers are dropped. A worker that has compiled this many models exits after the trial, and
# the supervisor starts another. Trials that take over a compiled model (`model_reuse`) do not count.
COMPILATIONS_PER_PROCESS = 6
EXIT_TO_RESTART = 75  # exit status of a worker that asks its supervisor for a new process


def role() -> str:
    """Return the role of this process in a hyper-parameter search: "alone", "chief" or "worker".

    KerasTuner's environment variables give it.

    Raises:
        UserError: some of KerasTuner's variables are set and others are missing.
    """
    if ADDRESS_VARIABLE not in os.environ:
        return ALONE
    if missing := [name for name in (PORT_VARIABLE, NAME_VARIABLE) if name not in os.environ]:
        raise UserError(
            f"{ADDRESS_VARIABLE} is set, so {' and '.join(missing)} must be as well (KerasTuner's distribution)."
        )
    return CHIEF if CHIEF in os.environ[NAME_VARIABLE] else WORKER


def heartbeat_file(out: Path, name: str | None = None) -> Path:
    """Return the path of the heartbeat file, whose modification time shows when a search worker was last active.

    Args:
        out: the search's folder.
        name: the worker's name; None is the worker that runs in this process.
    """
    return out / "workers" / f"{name or os.environ[NAME_VARIABLE]}.alive"


def seconds_since_heartbeat(file: Path, start: float) -> float:
    """Return the seconds since the last heartbeat of a worker process.

    They count from `start` if that is later.

    Args:
        file: the worker's heartbeat file, which may not exist yet.
        start: a `time.time()`, such as the start of the worker.
    """
    last = file.stat().st_mtime if file.exists() else 0.0
    return time.time() - max(last, start)


def exit_with_supervisor() -> bool:
    """Start a thread that ends this process when the parent process dies.

    Otherwise KerasTuner's client would wait an hour for the answer of a chief that died.

    Returns:
        True if a supervisor started this process.
    """
    if SUPERVISOR_VARIABLE not in os.environ:
        return False
    supervisor = int(os.environ[SUPERVISOR_VARIABLE])

    def watch():
        while os.getppid() == supervisor:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return True
