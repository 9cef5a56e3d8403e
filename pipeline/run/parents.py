"""A process ends with those that started it, however they end: DVC that is killed leaves no stage behind.

Who is followed: the DVC that runs this process as a stage, and all between; the process that
:data:`VARIABLE` names; `torchrun`. A stage that is started by hand follows nobody: it outlives its shell under nohup.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Sequence

VARIABLE = "PIPELINE_ENDS_WITH"
"""The environment variable by which a program here tells those it starts to end with it: its process id."""
GRACE = 30.0
"""Seconds from the polite signal to the other one."""


def follow() -> None:
    """Let this process end, as SIGTERM ends it, when one of those that it follows has ended."""
    followed = _up_to_dvc()
    if followed is None:
        os.kill(os.getpid(), signal.SIGTERM)
        return
    if named := os.environ.pop(VARIABLE, None):
        followed.append(int(named))
    if "TORCHELASTIC_RUN_ID" in os.environ:
        followed.append(os.getppid())
    if followed:
        end_with(followed)


def end_with(followed: Sequence[int]) -> None:
    """Let this process end when one of these has; at once where one is gone already."""
    threading.Thread(target=_end_after, args=(followed,), daemon=True).start()


def wait_for_any(pids: Sequence[int], timeout: float | None = None) -> bool:
    """Wait until one of these processes has ended; False where none has within the seconds given.

    None is reaped: whoever started it learns its status.
    """
    handles = []
    try:
        for pid in pids:
            handles.append(os.pidfd_open(pid))
        ready = select.poll()
        for handle in handles:
            ready.register(handle, select.POLLIN)
        return bool(ready.poll(None if timeout is None else 1000 * timeout))
    except ProcessLookupError:
        return True
    except (AttributeError, OSError):
        # No such call on this system.
        return _poll(pids, timeout)
    finally:
        for handle in handles:
            os.close(handle)


def _poll(pids: Sequence[int], timeout: float | None) -> bool:
    import psutil

    def lives(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    deadline = None if timeout is None else time.monotonic() + timeout
    while all(map(lives, pids)):
        if deadline is not None and time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def _end_after(followed: Sequence[int]) -> None:
    wait_for_any(followed)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    # It hangs in a library that never comes back to Python.
    os.kill(os.getpid(), signal.SIGKILL)


def _up_to_dvc() -> list[int] | None:
    """The processes from the one that started this one up to the DVC that runs it as a stage; none where none does.

    DVC marks the environment of a stage: it is the first above us without the mark. Shells and `torchrun` lie between.
    None where DVC has died already.
    """
    stage = os.environ.get("DVC_STAGE")
    if stage is None:
        return []
    import psutil

    found = []
    try:
        for process in psutil.Process().parents():
            found.append(process.pid)
            if not _is_marked(process, stage):
                # Else the system has given us to another process.
                return found if _may_be_dvc(process) else None
    except psutil.NoSuchProcess:
        return None
    return found


def _is_marked(process, stage: str) -> bool:
    import psutil

    try:
        return process.environ().get("DVC_STAGE") == stage
    except psutil.AccessDenied:
        # On macOS that of shells cannot be read; that of Python can.
        return not _may_be_dvc(process) and process.pid != 1


def _may_be_dvc(process) -> bool:
    return process.name().lower().startswith(("python", "dvc"))
