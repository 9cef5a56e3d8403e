"""Resume state outside the outputs: used only on an exact match of parameters, code and data; removed on success."""

import fcntl
import logging
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from pipeline.run import files, locks
from pipeline.run.processes import is_main

PACKAGE = Path(__file__).parents[1]
LOCK = ".lock"
log = logging.getLogger("pipeline.resume")


class Scratch:
    """A folder for unfinished work, named by a digest of everything the result depends on, its source files included.

    Args:
        root: where scratch folders live (git-ignored).
        name: stage and cell, for people who look inside.
        inputs: files and folders the work reads.
        values: parameters the work reads. The torch build and whether it has a GPU count as well.
    """

    def __init__(self, root: Path, name: str, inputs: list[Path], *values: object):
        import torch

        values = (*values, torch.__version__, torch.cuda.is_available())
        digest = files.digest([*code_of_this_program(), *inputs], *values)
        self.folder = root / f"{name}-{digest[:16]}"
        self._file = self.folder / "state.pt"
        if is_main():
            # Held while this process lives: nobody removes the folder under it.
            self._lock = _hold(self.folder)
            for stale in root.glob(f"{name}-*"):
                # Another run may be faster.
                with suppress(FileNotFoundError):
                    if stale != self.folder and (lock := locks.acquire(stale / LOCK, fcntl.LOCK_EX)):
                        files.remove(stale)
                        lock.close()

    def load(self) -> dict | None:
        """The last saved state, or None."""
        import torch

        if not self._file.exists():
            return None
        state = torch.load(self._file, map_location="cpu", weights_only=True)
        log.info("resuming from step %d", state["step"])
        return state

    def save(self, state: dict) -> None:
        """Keep a state of tensors and plain values with a key 'step'; a kill leaves the old one or the new one."""
        import io

        import torch

        buffer = io.BytesIO()
        torch.save(state, buffer)
        files.write_bytes(self._file, buffer.getvalue())

    def clear(self) -> None:
        """Remove the folder; the main process does. Of several runs of the same work the last one does."""
        if is_main() and locks.alone(self._lock):
            files.remove(self.folder)


def code_of_this_program() -> list[Path]:
    """The files that the running stage or command may import; the whole package where something else runs it."""
    main = Path(getattr(sys.modules["__main__"], "__file__", None) or "/")
    return code_of(main) if main.is_relative_to(PACKAGE) else [PACKAGE]


def code_of(program: Path) -> list[Path]:
    """The file and all files of the package that it imports, inside functions too, directly or through others."""
    from modulefinder import ModuleFinder

    finder = ModuleFinder(path=[str(PACKAGE.parent)])
    finder.run_script(str(program))
    return sorted(Path(module.__file__) for module in finder.modules.values() if module.__file__)


def _hold(folder: Path) -> IO[str]:
    """The folder, made where it is missing, and a shared lock on it: an open file."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        # Another run may have just removed the folder, or be about to.
        with suppress(FileNotFoundError):
            if lock := locks.acquire(folder / LOCK, fcntl.LOCK_SH):
                return lock
        time.sleep(0.01)
