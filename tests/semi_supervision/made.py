"""Objectives of every method on tiny networks and discs, and batches of them."""

import torch
from pydantic import TypeAdapter

from pipeline.config.semi_supervised import UnlabelledUse
from pipeline.learning.recipe import Recipe
from pipeline.semi_supervision.choice import semi_supervised
from tests.semi_supervision.tiny import Tiny, labelled, unlabelled

CPU = torch.device("cpu")
RECIPE = Recipe(12, 4, 0.01, warmup_steps=0, checkpoint_every=4, key="segmenters.tiny.")
DUAL = {"method": "cross_pseudo", "networks": ["tiny", "other"]}
METHODS = {
    "pseudo": {"method": "pseudo"},
    "mean_teacher": {"method": "mean_teacher"},
    "unimatch": {"method": "unimatch", "confidence": 0.5},
    "cross_pseudo": DUAL,
    "as_published": DUAL | {"targets": "soft", "contrast": None, "weight": 0.1},
}
TAUGHT = ("mean_teacher", "unimatch")
RAMPED = tuple(name for name in METHODS if name != "pseudo")


def method_of(name, **changes):
    return TypeAdapter(UnlabelledUse).validate_python(METHODS[name] | changes)


def objective_of(name, steps=12, n_structures=1, truth=None, network=Tiny, **changes):
    """The objective of a method on tiny networks and discs; of pseudo-labels the true masks."""
    truth = name == "pseudo" if truth is None else truth
    names = [f"structure_{k}" for k in range(1, n_structures + 1)]
    return semi_supervised(
        labelled(network(0, n_structures), n_structures=n_structures), unlabelled(truth=truth),
        method_of(name, **changes), steps=steps, names=names, key="arms.x.unlabelled",
        partner=lambda: network(1, n_structures),
    )  # fmt: skip


def batch_at(objective, step, count=4):
    """The batch of a step, of the same cases and views in every step."""
    return objective.batch(step, count, torch.Generator().manual_seed(3), slice(None))
