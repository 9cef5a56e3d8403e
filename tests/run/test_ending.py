"""The one table of exit statuses, as a shell sees it: one line on stderr, no traceback, nothing half-written."""

import errno
import signal
import subprocess
import sys

import pytest

from pipeline.run.ending import explained
from pipeline.run.errors import InputError

PROGRAM = """
import errno, os, sys, time
from pathlib import Path
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.outputs import written_whole
from pipeline.tools import command

def add_arguments(parser):
    parser.add_argument("--out", type=Path, default="out")

def run(args):
    with written_whole(args.out) as partial:
        files.write_bytes(partial / "half", b"half")
        {body}

__spec__ = type("Spec", (), {{"name": "program"}})
command.main(add_arguments, run)
"""


def start(root, folder, body, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    program = [sys.executable, "-c", PROGRAM.format(body=body)]
    return subprocess.Popen(program, cwd=folder, env={"PYTHONPATH": str(root)}, **options)


@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        ("return 0", 0, ""),
        ("return 1", 1, ""),
        ("raise InputError('file x: bad')", 2, "file x: bad"),
        ("raise InputError('two\\nlines')", 2, "two lines"),
        ("Path('none').read_bytes()", 2, "none: No such file or directory; check the path"),
        ("Path('x' * 300).write_text('')", 2, "x: File name too long; shorten the name"),
        ("raise PermissionError(errno.EACCES, 'x', 'a')", 2, "a: Permission denied; change its permissions, or"),
        ("raise OSError(errno.EROFS, 'x', 'a', None, 'b')", 2, "a -> b: Read-only file system; name a place"),
        ("raise OSError(errno.ENOSPC, 'x')", 2, "out: No space left on device; free some room and run it again"),
        ("raise OSError('cannot identify image file')", 2, "cannot identify image file"),
        ("raise MemoryError", 2, "out of memory (MemoryError); lower the batch or chunk size, or close other programs"),
        ("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9)); Path('b').write_bytes(bytes(99))",
         2, "out: File too large; raise the limit of file sizes (`ulimit -f`)"),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_a_status(root, tmp_path, body, status, line):
    process = start(root, tmp_path, body)
    _, told = process.communicate()
    assert process.returncode == status, told
    assert told.count("\n") == (1 if line else 0) and line in told
    assert (tmp_path / "out").exists() == (status < 2) and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_are_one_line_and_a_status(root, tmp_path, name):
    process = start(root, tmp_path, "print('now', flush=True); time.sleep(60)")
    process.stdout.readline()
    # As DVC, a service manager or a user out of patience: the ones that follow do not stop the cleaning up.
    for _ in range(1 if name == "SIGINT" else 3):
        process.send_signal(signal.Signals[name])
    _, told = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.Signals[name]
    assert told == f"ERROR ended by {name} before it was done; nothing half-written is left\n"
    assert not list(tmp_path.iterdir())


def test_a_signal_that_is_ignored_stays_so(root, tmp_path):
    ignoring = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    process = start(root, tmp_path, "print('now', flush=True); time.sleep(0.3)", **ignoring)
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    assert process.wait(20) == 0


@pytest.mark.parametrize(
    "body", ["print('x' * 10)", "print('x' * 10**6)", "command.main(add_arguments, run, ['--help'])"]
)
def test_a_reader_who_closes_the_output_hears_nothing_of_it(root, tmp_path, body):
    process = start(root, tmp_path, f"time.sleep(0.2); {body}")
    process.stdout.close()
    told = process.stderr.read()
    assert told == "" and process.wait() in (0, 141)


def test_an_output_that_cannot_be_written_is_told(root, tmp_path):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        process = start(root, tmp_path, "print('x')", stdout=full)
    _, told = process.communicate()
    assert process.returncode == 2 and told.count("\n") == 1 and "No space left on device" in told


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
            "out of memory",
        ),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory."), "out of memory (CUDA out of memory.)"),
        (RuntimeError('IoError(Os { code: 28, kind: StorageFull, message: "No" })'), "No space left on device; free"),
        (OSError("[Errno 28] Error writing bytes to file"), "No space left on device"),
        (OSError(errno.EMFILE, "x", "a"), "a: Too many open files; raise the limit of open files (`ulimit -n`)"),
        (ValueError("status code: 404"), None),
        (KeyError("x"), None),
        (InputError("file x: bad"), "file x: bad"),
    ],
)
def test_what_is_no_fault_of_the_program(error, text):
    told = explained(error)
    assert (text in told) if text else told is None


def test_a_worker_process_that_is_killed_is_a_line(tmp_path):
    import os
    from concurrent.futures import BrokenExecutor

    from pipeline.run.processes import pool

    with pytest.raises(BrokenExecutor) as broken, pool(1) as workers:
        workers.submit(os.kill, 0, 0).result()
        workers.submit(os._exit, 9).result()
    assert explained(broken.value).startswith("a worker process was killed")
