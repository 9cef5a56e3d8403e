"""A filter of the labels, and a set with planted faults, for the curation and the gate."""

from types import SimpleNamespace

import pytest

from pipeline import train_filter
from pipeline.config.params import View
from pipeline.data.writer import write_dataset
from pipeline.run.stage import execute
from tests.label_budget.planted import STRUCTURES, N, samples, write_samples


@pytest.fixture(scope="module")
def world(tmp_path_factory, smoke_config, ring):
    """A ring cohort, a filter of its first labels, unlabelled images, and a set with planted faults."""
    root = tmp_path_factory.mktemp("curate")
    labels = [ring(i) for i in range(N)]
    others = [ring(50 + i, mask=None, mask_source=None) for i in range(6)]
    write_dataset(root / "train", labels, role="train", structures=STRUCTURES)
    write_dataset(root / "unlabelled", others, role="unlabelled", structures=STRUCTURES)
    learnt = smoke_config.filter.model_copy(update={"steps": 30, "channels": (8, 8, 16, 16, 16)})
    config = smoke_config.model_copy(update={"filter": learnt})
    given = {"train": root / "train", "labels": N, "replicate": 0, "out": root / "filter"}
    execute(train_filter.run, View(config, train_filter.PARAMS), given)
    write_samples(root / "synthetic", samples(labels, ring), labels)
    return SimpleNamespace(root=root, config=config, labels=labels, others=others, count=0, known={})


@pytest.fixture(autouse=True)
def in_scratch(world, monkeypatch):
    monkeypatch.chdir(world.root)
