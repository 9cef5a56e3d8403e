"""Worlds that many tests read: built and run once."""

import pytest

from tests.comparison.pair_world import pair_world
from tests.comparison.world import World

GAIN = {"synthetic": 0.05, "synthetic_1": 0.03, "shuffled": -0.2}


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """One segmenter, one number of labels, one replicate."""
    return World(tmp_path_factory.mktemp("world")).build()


@pytest.fixture(scope="session")
def html(world):
    return world.run()


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """Two segmenters, two numbers of labels, two replicates, two countries, boxes; with a generous arm."""
    arms = {
        "real": {"extra": "none"},
        "synthetic_1": {"extra": "synthetic", "ratio": 1, "curated": True, "generous": True},
        "synthetic": {"extra": "synthetic", "ratio": 2, "curated": True},
        "shuffled": {"extra": "synthetic", "ratio": 2, "shuffled": True},
    }
    root = tmp_path_factory.mktemp("large")
    return World(
        root, labels=[4, 6], replicates=[0, 1], segmenters=["sam", "unet"], arms=arms, gain=GAIN, oracle=["real"],
        countries=("ESP", "DZA"),
    ).build()  # fmt: skip


@pytest.fixture(scope="session")
def large_html(large):
    return large.run()


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """Symphysis and head, two replicates of two arms, no held-out cohort."""
    return pair_world(tmp_path_factory.mktemp("pair"), replicates=[0, 1]).build()


@pytest.fixture(scope="session")
def pair_html(pair):
    return pair.run()
