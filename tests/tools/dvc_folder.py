"""A folder under DVC without starting it, which takes a second."""

from pathlib import Path


def init_dvc(folder: Path, *, git: bool = False) -> None:
    """What `dvc init` and `dvc config core.analytics false` write, with `--no-scm` unless the folder is one of git."""
    (folder / ".dvc").mkdir()
    alone = "" if git else "    no_scm = true\n"
    (folder / ".dvc/config").write_text(f"[core]\n    analytics = false\n{alone}")
    if git:
        (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
