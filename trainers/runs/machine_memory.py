"""Size of this machine's memory, and the refusal of what cannot fit into it."""

import os
from pathlib import Path

from .errors import UserError

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container
_GIB = 2**30


def memory_bytes() -> int:
    """Return the bytes of main memory that this process may use: the machine's or its container's, and swap space."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [total]
    for file in _LIMITS:
        try:
            limits.append(int(Path(file).read_text()))
        except (OSError, ValueError):  # there is no such limit, or it is "max"
            continue
    return min(limits) + _swap_bytes()


def refuse_beyond_memory(needed: int, what: str, advice: str, limit: int | None = None) -> None:
    """Raise `UserError` if something needs more bytes than this machine has.

    Args:
        needed: a lower bound of the bytes, so that nothing that fits is refused.
        what: what needs them, as the beginning of a sentence.
        advice: what to change.
        limit: bytes that there are. Default: the main memory and swap space.
    """
    limit = memory_bytes() if limit is None else limit
    if needed > limit:
        raise UserError(f"{what} {needed / _GIB:,.1f} GiB, and this machine has {limit / _GIB:,.1f} GiB. {advice}")


def _swap_bytes() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("SwapTotal:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return 0
