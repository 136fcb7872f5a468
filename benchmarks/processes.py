"""Worker processes as the parent sees them: started when first asked, ended together."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Waiting OpenMP threads sleep; spinning, they would slow down whoever's turn it is.
QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
TIME_LIMIT = 600  # seconds for one request
MEMORY_SHARE = 0.8  # of what is free at the start, for one worker


class WorkerFailed(Exception):
    """A request that a worker could not do; the message is one line."""


class Processes:
    """The workers of a benchmark; a context manager that ends them.

    Args:
        time_limit: seconds a request may take before its worker is killed.
        memory_limit: bytes a worker may hold before it is killed; by default most of what is free now.
    """

    def __init__(self, time_limit=TIME_LIMIT, memory_limit=None):
        self._time_limit = time_limit
        self._memory_limit = memory_limit or MEMORY_SHARE * _kibibytes("/proc/meminfo", "MemAvailable") * 1024
        self._workers = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends every worker."""
        while self._workers:
            _end(*self._workers.popitem()[1])

    def ask(self, contestant, **request):
        """Sends a request to a contestant's process, which is started if need be.

        Raises:
            WorkerFailed: the worker answered with an error; or it died, took too long or too much memory, and then it
                is gone, with everything that was prepared in it.
        """
        process, log = self._workers.get(contestant.process) or self._start(contestant)
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            excess = self._await(process)
            line = "" if excess else process.stdout.readline()
        except BrokenPipeError:
            excess, line = None, ""
        if not line:
            del self._workers[contestant.process]
            reason = excess or _last_words(process, log)
            _end(process, log)
            raise WorkerFailed(reason)
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerFailed(reply["error"])
        return reply

    def _await(self, process):
        """Waits for an answer, or for the process's end; what it took too much of, or None."""
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
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**QUIET, **os.environ, "PYTHONPATH": path, **contestant.environment},
        )
        self._workers[contestant.process] = process, log
        return process, log


def _kibibytes(path, name):
    """A figure of a file like /proc/meminfo; 0 where it has none."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def _last_words(process, log):
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
