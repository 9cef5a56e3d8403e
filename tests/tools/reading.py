"""A blind reading of a small synthetic set and a real cohort."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.data.structures import Structure
from pipeline.data.writer import write_dataset
from pipeline.tools.blind_reading import make_reading

ROOT = Path(__file__).parents[2]
COUNT = 12
STRUCTURES = (Structure("head", "head"),)


@pytest.fixture(scope="module")
def sets(tmp_path_factory, ring):
    """A synthetic set of 32 pixels a side and a real cohort of twice that, in one format (3:4)."""
    folder = tmp_path_factory.mktemp("sets")
    small = [ring(i, id=f"sample-{i}", height=24, width=32) for i in range(10)]
    small = [replace(case, mask_source="parent", parent="case-000", seed=1, transform="{}") for case in small]
    write_dataset(folder / "synthetic", small, role="synthetic", structures=STRUCTURES, labels=["case-000"])
    splits = ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    real = [ring(i, split=split) for i, split in enumerate(splits)]
    write_dataset(folder / "real", real, role="train", structures=STRUCTURES)
    return folder


@pytest.fixture(scope="module")
def reading(sets) -> Path:
    make_reading(sets / "synthetic", sets / "real", COUNT, 0, sets / "reading")
    return sets / "reading"


def command(*arguments: object) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", "pipeline.tools.blind_reading", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT)
