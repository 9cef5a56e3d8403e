"""How a program ends: its exit status, and one line on stderr where it ends before its time.

====  ==================================================================================================
0     done
1     done, but for some items, each of which is named
2     bad input, a stage that failed, or what the system refuses (a full disk, no permission, no memory)
128+n ended by signal n: 130 Ctrl-C, 143 SIGTERM or the end of what started it, 129 the terminal is gone
141   whoever read its output has closed it
====  ==================================================================================================
"""

import errno
import io
import logging
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager

from pipeline.run import parents
from pipeline.run.errors import InputError, in_one_line, system_number
from pipeline.run.processes import is_main

FAILED = 2
CLEANING = 5.0
"""Seconds within which a second signal is taken for a copy of the first: DVC and service managers send several."""
REMEDIES = {
    errno.ENOSPC: "free some room and run it again",
    errno.EDQUOT: "free some room and run it again",
    errno.EFBIG: "raise the limit of file sizes (`ulimit -f`)",
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.EROFS: "name a place that can be written",
    errno.ENAMETOOLONG: "shorten the name",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENFILE: "close other programs",
    errno.ENOENT: "check the path",
}
log = logging.getLogger("pipeline")


class Ended(KeyboardInterrupt):
    """A signal asks this process to end; libraries take it for Ctrl-C and clean up."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = signal.Signals(number)


@contextmanager
def reported() -> Iterator[None]:
    """Log to stderr, and turn what ends a program before its time into one line there and an exit status.

    It ends with the process that started it, too (see :mod:`pipeline.run.parents`). An error of the program itself
    comes through as it is.
    """
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING, stream=sys.stderr)
    log.setLevel(logging.INFO if is_main() else logging.WARNING)
    with signals_raise():
        try:
            parents.follow()
            yield
            _close_output()
        except KeyboardInterrupt as error:
            number = getattr(error, "number", signal.SIGINT)
            if is_main():
                log.error("ended by %s before it was done; nothing half-written is left", number.name)
            _leave(128 + number)
        except SystemExit:
            _settle_output()
            raise
        except Exception as error:
            told = explained(error)
            if isinstance(error, BrokenPipeError) and not _output_is_open():
                _leave(128 + signal.SIGPIPE)
            if told is None:
                raise
            log.error("%s", told.replace("\n", " "))
            _leave(FAILED)


@contextmanager
def signals_raise() -> Iterator[None]:
    """SIGTERM, SIGHUP and SIGINT raise :class:`Ended`, so that what was begun is cleaned up.

    Those that follow within seconds would stop the cleaning up: they are ignored, but for a second Ctrl-C, which ends
    at once.
    """
    last = -math.inf

    def end(number, frame):
        nonlocal last
        now = time.monotonic()
        if now - last > CLEANING:
            last = now
            raise Ended(number)
        if number == signal.SIGINT:
            os._exit(128 + number)

    plain = (signal.SIG_DFL, signal.default_int_handler)
    wanted = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    # Ignored ones stay so: nohup does that. Only the main thread may set any.
    settable = threading.current_thread() is threading.main_thread()
    before = {number: old for number in wanted if settable and (old := signal.getsignal(number)) in plain}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def explained(error: Exception) -> str | None:
    """What is said of an error that is no fault of the program; None of others."""
    text = in_one_line(error)
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text:
        return f"out of memory ({text}); lower the batch or chunk size, or close other programs"
    if isinstance(error, BrokenExecutor):
        return f"a worker process was killed ({text}); most often the memory ran out: lower compute.threads"
    number = system_number(error)
    if number is None:
        return text if isinstance(error, OSError) else None
    names = [getattr(error, name, None) for name in ("filename", "filename2")]
    where = " -> ".join(os.fsdecode(name) for name in names if isinstance(name, str | bytes))
    remedy = f"; {REMEDIES[number]}" if number in REMEDIES else ""
    return f"{where + ': ' if where else ''}{os.strerror(number)}{remedy}"


def _close_output() -> None:
    """Have what was printed written now, where an error can still be told."""
    if sys.stdout and not sys.stdout.closed:
        sys.stdout.flush()


def _output_is_open() -> bool:
    if not sys.stdout or sys.stdout.closed:
        return True
    watched = select.poll()
    try:
        sys.stdout.flush()
        watched.register(sys.stdout.fileno(), 0)
    except io.UnsupportedOperation:
        # No file of the system, as in tests.
        return True
    except OSError:
        return False
    return not watched.poll(0)


def _leave(status: int) -> None:
    _settle_output()
    sys.exit(status)


def _settle_output() -> None:
    if not _output_is_open():
        # Python would complain when it tries once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
