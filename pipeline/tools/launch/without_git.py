"""DVC in a folder without git, such as an unpacked source archive."""

import sys
from pathlib import Path


def do_without_git() -> None:
    """Where the project is in no git repository, have DVC do without one, as `dvc config core.no_scm true` does."""
    from dvc.config import Config
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        root = Path(Repo.find_root())
    except NotDvcRepoError:
        # DVC says so itself.
        return
    config = Config(str(root / Repo.DVC_DIR))
    if config["core"].get("no_scm") or any((folder / ".git").exists() for folder in (root, *root.parents)):
        return
    with config.edit("repo") as written:
        written["core"]["no_scm"] = True
    told = "no git repository here: core.no_scm is now true in .dvc/config, so that DVC runs without one"
    print(f"WARNING: {told}; experiments need git (`git init`, `dvc config core.no_scm false`)", file=sys.stderr)
