"""The smoke preset is run once, for all files here."""

import shutil
from pathlib import Path

import pytest

from tests.end_to_end.smoke import commit, make_repo, repro


@pytest.fixture(scope="session")
def repo(tmp_path_factory) -> Path:
    """A repository in which the smoke preset has run and is committed."""
    path = make_repo(tmp_path_factory.mktemp("smoke"))
    repro(path)
    commit(path, "smoke results")
    return path


@pytest.fixture
def clone(repo, tmp_path) -> Path:
    """A clone with all data in place, to be changed at will."""
    shutil.copytree(repo, tmp_path / "clone", symlinks=True)
    return tmp_path / "clone"
