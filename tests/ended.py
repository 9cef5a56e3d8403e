"""Whether a process has ended, as tests ask."""

import psutil


def ended(process: psutil.Process | int) -> bool:
    """Of a process or its id. True also of one that nobody has waited for, as in a container without an init."""
    try:
        process = psutil.Process(process) if isinstance(process, int) else process
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
