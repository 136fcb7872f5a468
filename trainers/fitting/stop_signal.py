"""SIGTERM and Ctrl-C as flags, so that a batch is finished and its work saved, and neither is lost."""

import signal
import threading


class StopSignal:
    """While its block runs, SIGTERM sets `requested` instead of ending the process.

    SIGINT raises `KeyboardInterrupt` as ever and sets `interrupted` too: Python drops an exception that is raised in a
    destructor or in a callback from C, so a loop looks at the flag as well, with `raise_lost_interrupt`. A SIGINT that
    was ignored, as of a job in the background, stays ignored.

    Outside the main thread it does nothing: only there a program may handle signals.
    """

    status = 128 + signal.SIGTERM  # what a shell reports of a process that SIGTERM ended: 143

    def __init__(self):
        self.requested = False
        self.interrupted = False

    def __enter__(self):
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._note)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            if handler is not None:  # None: not a handler of Python's
                signal.signal(number, handler)

    def raise_lost_interrupt(self):
        """Raises the `KeyboardInterrupt` that came and got lost, if one did."""
        if self.interrupted:
            raise KeyboardInterrupt

    def _note(self, number, frame):
        self.requested = True

    def _interrupt(self, number, frame):
        self.interrupted = True
        raise KeyboardInterrupt
