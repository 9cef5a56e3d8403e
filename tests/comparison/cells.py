"""Small made-up cells: their arms, their cases, and their per-case scores as `evaluate` writes them."""

from types import SimpleNamespace

import numpy as np

from pipeline.comparison.scores import load_scores
from pipeline.config.arms import Arm
from pipeline.data.case import Case
from pipeline.data.tables import read_table, write_table
from pipeline.tasks.metrics import METRICS
from tests.comparison.world import long_rows

ARMS = {"real": Arm(extra="none"), "synthetic": Arm(extra="synthetic", ratio=2)}


def task(structures=("head",), unions=None, primary="dice", roles=None):
    """The section ``task``; a structure's role is its name unless ``roles`` says otherwise."""
    named = {name: (roles or {}).get(name, name) for name in structures}
    return SimpleNamespace(structures=named, unions=unions or {}, primary=primary)


def grid(labels=(10,), replicates=(0,), arms=("real", "synthetic"), segmenters=("sam",)):
    return SimpleNamespace(segmenters=segmenters, labels=labels, replicates=tuple(replicates), arms=tuple(arms))


def person(id_, patient=None, country=None, device=None):
    """A case whose pixels nobody asks for."""
    image = np.zeros((4, 4), np.uint8)
    return Case(id_, "far", patient or id_, image, None, country=country, device=device)


def row(id_, dice, region="head", cohort="far", mm=None, missing=False, share=None, **values):
    """Rows of one region of one case."""
    known = {"dice": dice, "iou": dice / (2 - dice), "hd95_px": 10.0}
    if mm:
        known |= {"hd95_mm": 10 * mm}
    known |= {"missing": float(missing)} | ({} if share is None else {"reference_share": share}) | values
    return long_rows("", cohort, id_, region, {name: known[name] for name in METRICS if name in known})


def write_cells(folder, cells):
    """``cells``: name → the rows of its cases."""
    for name, rows in cells.items():
        write_table(folder / f"{name}.csv", [one for of_case in rows for one in of_case])


def load(folder, cells, people=(), cohorts=("far",), about=None):
    """The scores of a folder; cases that ``people`` does not name are patients of their own."""
    evaluated = {}
    for cohort in cohorts:
        ids = {one["case"] for path in sorted(folder.glob("*.csv")) for one in read_table(path)}
        known = {one.id: one for one in people}
        evaluated[cohort] = [known.get(id_, person(id_)) for id_ in sorted(ids)]
    return load_scores(folder, cells, evaluated, about or task())
