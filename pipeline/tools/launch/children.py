"""Programs that this one starts and waits for: they end with it, however it ends."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence

from pipeline.run.errors import InputError
from pipeline.run.parents import GRACE, VARIABLE

_running: set[subprocess.Popen] = set()
_over = threading.Event()
_lock = threading.Lock()


def run(words: Sequence[str], env: Mapping[str, str] | None = None, **options) -> subprocess.CompletedProcess:
    """As ``subprocess.run``; what is started ends with this process, if it is one of this project's programs."""
    environment = {**(os.environ if env is None else env), VARIABLE: str(os.getpid())}
    with _lock:
        if _over.is_set():
            raise InputError(f"`{' '.join(words)}` is not started any more")
        try:
            process = subprocess.Popen(words, env=environment, **options)
        except FileNotFoundError as error:
            if error.filename != words[0]:
                raise
            raise InputError(f"`{words[0]}` is not found; install it, or put its folder on the PATH") from None
        _running.add(process)
    try:
        output, errors = process.communicate()
    except BaseException:
        end(process)
        raise
    finally:
        _running.discard(process)
    return subprocess.CompletedProcess(words, process.returncode, output, errors)


def end_all() -> None:
    """End what runs in all threads, as SIGTERM does, and wait for it; nothing is started from then on."""
    with _lock:
        _over.set()
        running = list(_running)
    end(*running)


def end(*processes: subprocess.Popen) -> None:
    """End processes, as SIGTERM does, and wait for them; those that do not end in time are killed."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
