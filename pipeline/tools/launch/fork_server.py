"""Runs Python modules, each in a process forked from this one, which has imported what the ones before imported.

A script that imports nothing of this project: what it forks may work in a clone with code of its own.

    python -P fork_server.py <descriptor to read jobs from> <descriptor to write statuses to>

A job is a line of JSON: ``module``, ``arguments``, ``env``, ``cwd``. The answer is a line with its exit status, which
is negative where a signal ended it. This ends at the end of its jobs, and leaves SIGINT to what it forks.
"""

import atexit
import importlib
import json
import multiprocessing
import os
import runpy
import signal
import sys
import traceback
import warnings
from contextlib import suppress

PACKAGES = frozenset({
    "PIL", "accelerate", "numpy", "peft", "scipy", "segmentation_models_pytorch", "skimage", "timm", "torch",
    "torchvision", "transformers",
})  # fmt: skip
"""Those worth importing once. None starts a thread while it is imported, as pyarrow and diffusers (through onnxruntime)
do, for none outlives a fork."""


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Of a fork with threads about: those of linear algebra are made anew in the child.
    warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)
    jobs, statuses = os.fdopen(int(sys.argv[1])), os.fdopen(int(sys.argv[2]), "w", buffering=1)
    context = multiprocessing.get_context("fork")
    seen: dict = {"modules": [], "threads": {}}
    for line in jobs:
        # Not sooner: there may be no other job.
        _import(**seen)
        from_child, to_parent = context.Pipe(duplex=False)
        child = context.Process(target=_run, args=(json.loads(line), to_parent, (jobs, statuses)))
        child.start()
        to_parent.close()
        # None is told by one that was killed.
        with suppress(EOFError):
            seen = from_child.recv()
        child.join()
        print(child.exitcode, file=statuses)


def _run(job: dict, to_parent, not_ours: tuple) -> None:
    for file in not_ours:
        file.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    sys.path.insert(0, job["cwd"])
    sys.argv = ["", *job["arguments"]]
    try:
        runpy.run_module(job["module"], run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        modules = [name for name in [*sys.modules] if name.partition(".")[0] in PACKAGES]
        threads = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
        with suppress(OSError):
            to_parent.send({"modules": modules, "threads": threads})
        atexit._run_exitfuncs()


def _import(modules: list[str], threads: dict[str, str]) -> None:
    # Libraries read them while they are imported, and sums depend on them.
    os.environ.update(threads)
    with warnings.catch_warnings(action="ignore"):
        for name in modules:
            # Some modules are made by others under names that cannot be imported.
            with suppress(Exception):
                importlib.import_module(name)


if __name__ == "__main__":
    main()
