"""Functions of a hyper-parameter search's chief process, which starts, monitors and replaces search workers.

Instead of starting workers, it can serve workers on other machines.

A worker is a process of its own that asks the chief for trials. A worker that exits early, or whose heartbeat stops, is
replaced, and its trial is run again once; the second time the trial counts as failed.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import keras_tuner

from ..runs.atomic_folder import AtomicFolder
from ..runs.errors import UserError
from .oracles import serve
from .records import RECORD_FILE
from .roles import (
    ADDRESS_VARIABLE,
    EXIT_TO_RESTART,
    NAME_VARIABLE,
    PORT_VARIABLE,
    SUPERVISOR_VARIABLE,
    heartbeat_file,
    seconds_since_heartbeat,
)

_COMMAND = (sys.executable, "-m", "encapnet_start")
_POLL_SECONDS = 0.5
_SHUTDOWN_SECONDS = 60.0  # for remote workers to exit by themselves once the search has finished
_MAX_DEATHS = 4  # of one worker in a row, while no trial of the search ends


class _Worker:
    """Worker process of a hyper-parameter search on this machine."""

    def __init__(self, name: str, out: Path, *, port: int, workers: int):
        self.name, self.out, self.deaths, self.finished = name, out, 0, False
        self.log, self._heartbeat = out / "workers" / f"{name}.log", heartbeat_file(out, name)
        cores = str(max(1, (os.cpu_count() or 1) // workers))
        defaults = {"TF_NUM_INTRAOP_THREADS": cores, "OMP_NUM_THREADS": cores, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        connection = {
            ADDRESS_VARIABLE: "127.0.0.1",
            PORT_VARIABLE: str(port),
            NAME_VARIABLE: name,
            SUPERVISOR_VARIABLE: str(os.getpid()),
        }
        self._environment = {**defaults, **os.environ, **connection}
        self.log.parent.mkdir(exist_ok=True)
        self.start()

    def start(self):
        self._start_time = time.time()
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*_COMMAND, "tune", "--resume", f"--out={self.out}"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def silent_seconds(self) -> float:
        return seconds_since_heartbeat(self._heartbeat, self._start_time)

    def kill(self):
        self.process.kill()
        self.process.wait()


def run_local_workers(
    oracle: keras_tuner.Oracle,
    out: Path,
    *,
    workers: int,
    silent_seconds: float,
    on_poll: Callable[[], None] = lambda: None,
) -> None:
    """Run a hyper-parameter search with worker processes on this machine until no trial is left.

    Args:
        oracle: the search's oracle.
        out: the search's folder, where workers read the plan.
        workers: number of worker processes.
        silent_seconds: a worker without a heartbeat for this long is killed and replaced.
        on_poll: function to call twice a second.

    Raises:
        UserError: every worker kept dying.
    """
    server, port = serve(oracle, "127.0.0.1:0")
    crew, trials_ended = [], len(oracle.end_order)
    try:
        for number in range(1, workers + 1):
            crew.append(_Worker(f"worker{number}", out, port=port, workers=workers))
        while working := [worker for worker in crew if not worker.finished]:
            time.sleep(_POLL_SECONDS)
            on_poll()
            if len(oracle.end_order) != trials_ended:
                trials_ended = len(oracle.end_order)
                for worker in crew:
                    worker.deaths = 0
            for worker in working:
                _check_worker(worker, oracle, silent_seconds)
        if not oracle.finished:
            logs = ", ".join(str(worker.log) for worker in crew)
            raise UserError(f"Every worker died {_MAX_DEATHS} times in a row. The logs say why: {logs}.", status=1)
    finally:
        for worker in crew:
            worker.kill()
        server.stop(grace=None)


def _check_worker(worker, oracle, silent_seconds):
    """Check that a search worker's process is running, and restart the process if it exited or hangs.

    The interrupted trial is run again. A process that died `_MAX_DEATHS` times in a row is not restarted.
    """
    exit_status = worker.process.poll()
    if exit_status is None:
        if worker.silent_seconds() < silent_seconds:
            return
        worker.kill()
        exit_status = f"no sign of life for {silent_seconds:.0f} s"
    if exit_status == 0 or oracle.finished:
        worker.finished = True
        return
    if exit_status == EXIT_TO_RESTART:
        worker.start()
        return
    worker.deaths += 1
    requeue_trial(oracle, worker.name, f"{worker.name} died ({exit_status}); {worker.log} may say why")
    if worker.deaths < _MAX_DEATHS:
        worker.start()
    else:
        worker.finished = True


def requeue_trial(oracle: keras_tuner.Oracle, worker: str, reason: str) -> None:
    """Retry the hyper-parameter search trial of a worker process that died.

    A trial that lost a worker twice is not retried, but counts as failed.

    Args:
        oracle: the search's oracle.
        worker: the dead worker's name.
        reason: why the worker is taken for dead.
    """
    trial = oracle.ongoing_trials.get(worker)
    if trial is None:
        print(f"{reason}. It had no trial.", flush=True)
        return
    trial.status, trial.message = "INVALID", reason
    folder = AtomicFolder(oracle.get_trial_path(trial.trial_id))
    record = folder.read_json(RECORD_FILE) if folder.file(RECORD_FILE).exists() else {}
    # Names with a slash are KerasTuner's own values, such as Hyperband's "tuner/epochs".
    settings = {name: value for name, value in trial.hyperparameters.values.items() if "/" not in name}
    defaults = {"trial": trial.trial_id, "settings": settings, "worker": worker}
    record = {**defaults, **record, "status": "failed", "reason": reason, "traceback": reason}
    folder.write_json(RECORD_FILE, record)
    print(f"{reason}. Its trial {trial.trial_id} was interrupted.", flush=True)
    oracle.end_trial(trial)


def serve_remote_workers(
    oracle: keras_tuner.Oracle, out: Path, silent_seconds: float, on_poll: Callable[[], None] = lambda: None
) -> None:
    """Assign the trials of a hyper-parameter search to worker processes on other machines until no trial is left.

    Args:
        oracle: the search's oracle.
        out: the search's folder, on a file system that all machines share.
        silent_seconds: a worker without a heartbeat for this long loses its trial to another worker.
        on_poll: function to call twice a second.

    Raises:
        UserError: the address is taken, or no worker is left.
    """
    address = f"{os.environ[ADDRESS_VARIABLE]}:{os.environ[PORT_VARIABLE]}"
    try:
        server, _ = serve(oracle, address)
    except RuntimeError as error:
        raise UserError(f"Cannot listen at {address}: {error}. Choose another {PORT_VARIABLE}.") from None
    print(f"waiting for workers at {address}", flush=True)
    start, finish = time.time(), None
    try:
        while True:
            time.sleep(_POLL_SECONDS)
            on_poll()
            silence = {
                name: seconds_since_heartbeat(heartbeat_file(out, name), start) for name in set(oracle.tuner_ids)
            }
            for name in set(oracle.ongoing_trials):
                if silence.get(name, 0) > silent_seconds:
                    requeue_trial(oracle, name, f"{name} gave no sign of life for {silent_seconds:.0f} s")
                    oracle.tuner_ids.discard(name)
            if oracle.finished:
                finish = finish or time.time()
                if not oracle.tuner_ids or time.time() - finish > _SHUTDOWN_SECONDS:
                    return
            elif time.time() - start > silent_seconds and all(s > silent_seconds for s in silence.values()):
                raise UserError("No worker is left. Start workers again and resume with --resume.", status=1)
    finally:
        server.stop(grace=5)
