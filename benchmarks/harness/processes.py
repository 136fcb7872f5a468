"""Worker processes that run benchmarked code, controlled from the main process.

They are started on their first request and ended together.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import worker

ROOT = Path(__file__).resolve().parents[2]
# OpenMP threads that wait must sleep: spinning, they would slow down the contestant that is being timed.
QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
ONE_PROCESS = "BENCHMARKS_ONE_PROCESS"  # environment variable: if it is set, the main process does all the work
TIME_LIMIT = 600  # seconds for one request
MEMORY_SHARE = 0.8  # of the memory that is free at the start, for one worker


class WorkerFailed(Exception):
    """An exception for a benchmark process that reported an error, died or exceeded a time or memory limit.

    The message is one line.
    """


class Processes:
    """Context manager that starts a benchmark's worker processes on demand and stops all of them at the end.

    If the environment variable `ONE_PROCESS` is set, this process answers all requests itself: times mean little then,
    but Keras is imported only once. What needs another backend is reported as failed.

    Args:
        time_limit: seconds a request may take before its worker is killed.
        memory_limit: bytes a worker may hold before it is killed; default: 80 % of the memory that is free now.
    """

    def __init__(self, time_limit=TIME_LIMIT, memory_limit=None):
        self._time_limit = time_limit
        self._memory_limit = memory_limit or MEMORY_SHARE * _kibibytes("/proc/meminfo", "MemAvailable") * 1024
        self._workers, self._runs = {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Stop all processes that were started for benchmarking."""
        self._runs.clear()
        while self._workers:
            _end(*self._workers.popitem()[1])

    def request(self, contestant, **fields):
        """Send a command to the process that benchmarks one implementation, and return the answer.

        The process is started if necessary.

        Args:
            contestant: the `Contestant`.
            **fields: of the request, as in `worker`.

        Raises:
            WorkerFailed: the worker answered with an error; or it died, or was killed because it exceeded a limit. A
                dead worker has lost everything that was prepared in it.
        """
        if os.environ.get(ONE_PROCESS):
            return self._answer_here(contestant, fields)
        process, log = self._workers.get(contestant.process) or self._start(contestant)
        try:
            process.stdin.write(json.dumps(fields) + "\n")
            process.stdin.flush()
            excess = self._wait_for_answer(process)
            line = "" if excess else process.stdout.readline()
        except BrokenPipeError:
            excess, line = None, ""
        if not line:
            del self._workers[contestant.process]
            reason = excess or _exit_message(process, log)
            _end(process, log)
            raise WorkerFailed(reason)
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerFailed(reply["error"])
        return reply

    def _answer_here(self, contestant, fields):
        """Carry out a request in this process."""
        here = os.environ.get("KERAS_BACKEND", "tensorflow")
        backend = contestant.environment.get("KERAS_BACKEND", here)
        if backend != here:
            raise WorkerFailed(f"the backend {backend} needs a process of its own")
        with contextlib.redirect_stdout(sys.stderr):
            reply = worker.reply_to(json.loads(json.dumps(fields)), self._runs.setdefault(contestant.process, {}))
        if "error" in reply:
            raise WorkerFailed(reply["error"])
        return json.loads(json.dumps(reply))

    def _wait_for_answer(self, process):
        """Wait until a worker process answers, ends or exceeds a time or memory limit.

        Return the limit that it exceeded, or None.
        """
        start = time.monotonic()
        while not select.select([process.stdout], [], [], 0.2)[0]:
            if time.monotonic() - start > self._time_limit:
                return f"took longer than {self._time_limit} s"
            if _kibibytes(f"/proc/{process.pid}/status", "VmRSS") * 1024 > self._memory_limit:
                return f"took more than {self._memory_limit / 2**30:.1f} GiB"
        return None

    def _start(self, contestant):
        log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (open as long as the worker)
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**QUIET, **os.environ, "PYTHONPATH": path, **contestant.environment},
        )
        self._workers[contestant.process] = process, log
        return process, log


def _kibibytes(path, name):
    """Read a named memory size, in KiB, from a file such as /proc/meminfo.

    It is 0 if the file does not list it.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def _exit_message(process, log):
    code = process.wait()
    log.seek(0)
    lines = [line.strip() for line in log if line.strip()]
    return f"its process ended with exit code {code}" + (f": {lines[-1][:200]}" if lines else "")


def _end(process, log):
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    log.close()
