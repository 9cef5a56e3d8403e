"""Whether a process has ended, as tests ask."""

import time
from collections.abc import Sequence

import psutil


def ended(process: psutil.Process | int) -> bool:
    """Of a process or its id. True also of one that nobody has waited for, as in a container without an init."""
    try:
        process = psutil.Process(process) if isinstance(process, int) else process
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def outliving(processes: Sequence[psutil.Process | int], seconds: float) -> list[psutil.Process | int]:
    """Those that have not ended within the seconds; none as soon as all have."""
    deadline = time.monotonic() + seconds
    while (left := [one for one in processes if not ended(one)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left
