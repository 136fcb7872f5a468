"""SIGTERM as a flag, so that a batch is finished and its work saved before the process ends."""

import signal
import threading


class StopSignal:
    """While its block runs, SIGTERM sets `requested` instead of ending the process.

    Outside the main thread it does nothing: only there a program may handle signals.
    """

    status = 128 + signal.SIGTERM  # what a shell reports of a process that SIGTERM ended: 143

    def __init__(self):
        self.requested = False

    def __enter__(self):
        self._before = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *exception):
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, number, frame):
        self.requested = True
