"""Resume state outside the outputs: used only on an exact match of parameters, code and data; removed on success."""

import fcntl
import logging
import sys
from pathlib import Path

from pipeline.run import files
from pipeline.run.processes import is_main

PACKAGE = Path(__file__).parents[1]
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
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = self.folder / "state.pt"
        # Held while this process lives: nobody removes the folder under it.
        self._lock = _lock(self.folder, fcntl.LOCK_SH)
        if is_main():
            for stale in root.glob(f"{name}-*"):
                if stale != self.folder and (lock := _lock(stale, fcntl.LOCK_EX | fcntl.LOCK_NB)):
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
        """Remove the folder; the main process does."""
        if is_main():
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


def _lock(folder: Path, kind: int):
    """An open file that holds the lock of a folder, or None where another process holds it."""
    file = (folder / ".lock").open("w")
    try:
        fcntl.flock(file, kind)
    except BlockingIOError:
        file.close()
        return None
    return file
