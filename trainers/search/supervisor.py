"""Several workers on one search: KerasTuner's chief in this process, and workers that may die without harm.

A worker is a process of its own that asks the chief for trials. One that ends early, or gives no sign of life for too
long, is replaced and its trial run again, once; the second time the trial has failed.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from .oracles import serve
from .records import RECORD_FILE

CHIEF = "chief"
_ADDRESS, _PORT, _NAME = "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID"
_SUPERVISOR = "ENCAPNET_TUNE_SUPERVISOR"
_COMMAND = (sys.executable, "-c", "from encapnet_tf.trainers.commands.cli import main; main()")
_TICK = 0.5  # seconds
_GRACE = 60.0  # seconds for workers to end by themselves when the search is over
# TensorFlow keeps what XLA compiled: on the digits a process grows by 0.2 to 0.4 GiB a trial, whether or not the jitted
# helpers are forgotten between trials. So it is replaced after a few.
MOST_TRIALS = 6
ENOUGH = 75  # exit status of a worker that had them
_MOST_DEATHS = 4  # of one worker in a row, without a trial that ended between them


def role() -> str:
    """What KerasTuner's environment variables make of this process: "alone", "chief" or "worker".

    Raises:
        UserError: some are set and others are missing.
    """
    if _ADDRESS not in os.environ:
        return "alone"
    if missing := [name for name in (_PORT, _NAME) if name not in os.environ]:
        raise UserError(f"{_ADDRESS} is set, so {' and '.join(missing)} must be as well (KerasTuner's distribution).")
    return CHIEF if CHIEF in os.environ[_NAME] else "worker"


def alive_file(out: Path) -> Path:
    """The file that the worker of this process touches."""
    folder = out / "workers"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{os.environ[_NAME]}.alive"


def end_with_supervisor() -> bool:
    """In a worker: ends the process when the supervisor is gone, for KerasTuner would wait an hour for its answer.

    Returns:
        Whether there is a supervisor.
    """
    if _SUPERVISOR not in os.environ:
        return False
    supervisor = int(os.environ[_SUPERVISOR])

    def watch():
        while os.getppid() == supervisor:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return True


class _Worker:
    """A process, its log, and when it last showed life."""

    def __init__(self, name: str, out: Path, port: int, workers: int):
        self.name, self.out, self.deaths, self.over = name, out, 0, False
        self.log, self._alive = out / "workers" / f"{name}.log", out / "workers" / f"{name}.alive"
        cores = str(max(1, (os.cpu_count() or 1) // workers))
        own = {_ADDRESS: "127.0.0.1", _PORT: str(port), _NAME: name, _SUPERVISOR: str(os.getpid())}
        shared = {"TF_NUM_INTRAOP_THREADS": cores, "OMP_NUM_THREADS": cores, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        self._environment = {**shared, **os.environ, **own}
        self.log.parent.mkdir(exist_ok=True)
        self.start()

    def start(self):
        self._began = time.time()
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*_COMMAND, "tune", "--resume", f"--out={self.out}"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def silent_for(self) -> float:
        return silence(self._alive, self._began)

    def stop(self):
        self.process.kill()
        self.process.wait()


def silence(alive: Path, since: float) -> float:
    """Seconds since a worker's last sign of life, or since `since` (a time.time()) where that is later."""
    touched = alive.stat().st_mtime if alive.exists() else 0.0
    return time.time() - max(touched, since)


def supervise(oracle, workers: int, out: Path, silent_seconds: float):
    """Runs a search with that many workers on this machine; returns when it is over.

    Args:
        oracle: the search's.
        workers: how many.
        out: the search's folder, from which workers read what to search.
        silent_seconds: a worker that shows no life for so long is ended and replaced.

    Raises:
        UserError: every worker died again and again.
    """
    server, port = serve(oracle, "127.0.0.1:0")
    crew, ended = [], len(oracle.end_order)
    try:
        for number in range(1, workers + 1):
            crew.append(_Worker(f"worker{number}", out, port, workers))
        while working := [worker for worker in crew if not worker.over]:
            time.sleep(_TICK)
            if len(oracle.end_order) != ended:
                ended = len(oracle.end_order)
                for worker in crew:
                    worker.deaths = 0
            for worker in working:
                _look_after(worker, oracle, silent_seconds)
        if not oracle.over:
            logs = ", ".join(str(worker.log) for worker in crew)
            raise UserError(f"Every worker died {_MOST_DEATHS} times in a row; {logs} say why.", status=1)
    finally:
        for worker in crew:
            worker.stop()
        server.stop(grace=None)


def _look_after(worker, oracle, silent_seconds):
    code = worker.process.poll()
    if code is None:
        if worker.silent_for() < silent_seconds:
            return
        worker.stop()
        code = f"no sign of life for {silent_seconds:.0f} s"
    if code == 0 or oracle.over:
        worker.over = True
        return
    if code == ENOUGH:
        worker.start()
        return
    worker.deaths += 1
    hand_back(oracle, worker.name, f"{worker.name} died ({code}); {worker.log} may say why")
    if worker.deaths < _MOST_DEATHS:
        worker.start()
    else:
        worker.over = True


def hand_back(oracle, name: str, reason: str):
    """Takes a dead worker's trial back: another worker runs it again or, the second time, it has failed."""
    trial = oracle.ongoing_trials.get(name)
    if trial is None:
        print(f"{reason}. It had no trial.", flush=True)
        return
    trial.status, trial.message = "INVALID", reason
    run = RunDirectory(Path(oracle.get_trial_path(trial.trial_id)))
    record = run.read_json(RECORD_FILE) if run.file(RECORD_FILE).exists() else {}
    settings = {name: value for name, value in trial.hyperparameters.values.items() if "/" not in name}
    lost = {"trial": trial.trial_id, "settings": settings, "worker": name}
    record = {**lost, **record, "status": "failed", "reason": reason, "traceback": reason}
    run.write_json(RECORD_FILE, record)
    print(f"{reason}. Its trial {trial.trial_id} was cut off.", flush=True)
    oracle.end_trial(trial)


def lead(oracle, out: Path, silent_seconds: float):
    """Runs the chief of a search whose workers are on several machines; returns when it is over.

    Args:
        oracle: the search's.
        out: the search's folder, which all machines see.
        silent_seconds: a worker that shows no life for so long loses its trial to another.

    Raises:
        UserError: the address is taken, or no worker was left.
    """
    address = f"{os.environ[_ADDRESS]}:{os.environ[_PORT]}"
    try:
        server, _ = serve(oracle, address)
    except RuntimeError as error:
        raise UserError(f"Cannot listen at {address}: {error}. Another {_PORT} may be free.") from None
    print(f"waiting for workers at {address}", flush=True)
    since, finished = time.time(), None
    try:
        while True:
            time.sleep(_TICK)
            signs = {name: silence(out / "workers" / f"{name}.alive", since) for name in set(oracle.tuner_ids)}
            for name in set(oracle.ongoing_trials):
                if signs.get(name, 0) > silent_seconds:
                    hand_back(oracle, name, f"{name} gave no sign of life for {silent_seconds:.0f} s")
                    oracle.tuner_ids.discard(name)
            if oracle.over:
                finished = finished or time.time()
                if not oracle.tuner_ids or time.time() - finished > _GRACE:
                    return
            elif time.time() - since > silent_seconds and all(s > silent_seconds for s in signs.values()):
                raise UserError("No worker is left. Start some and go on with --resume.", status=1)
    finally:
        server.stop(grace=5)
