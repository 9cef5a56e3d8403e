"""Inputs of the stage compare for a symphysis and a head without a held-out cohort, scored as `evaluate` does."""

from dataclasses import replace

import numpy as np

from pipeline.data.case import Case
from pipeline.data.structures import Structure
from tests.comparison.world import ARMS, World
from tests.tasks.scenes import Oval, Scene, random_scene

PSFHS = (Structure("pubic_symphysis", "symphysis"), Structure("fetal_head", "head"))
TASK = {
    "structures": {one.name: one.role for one in PSFHS},
    "unions": {"both": [one.name for one in PSFHS]},
    "primary": "aop_error_deg",
}
ERROR = {"real": 9.0, "synthetic": 5.0, "warped": 8.0, "shuffled": 20.0}
"""Standard deviation of the predicted head's place in pixels, by arm."""
FAILS = 3
"""Of the test cases the one whose symphysis the arm ``real`` misses."""


def scene_of(cohort: str, i: int) -> Scene:
    return random_scene(np.random.default_rng([ord(cohort), i]))


def pair_case(cohort: str, i: int, split: str) -> Case:
    """Two cases a patient; grey on speckle."""
    mask = scene_of(cohort, i).class_map()
    grain = np.random.default_rng(i).rayleigh(25, mask.shape)
    image = np.clip(grain + 60 * (mask == 1) + 35 * (mask == 2), 0, 255).astype(np.uint8)
    return Case(f"{cohort}-{i}", cohort, f"p{i // 2}", image, mask, split, pixel_mm=0.3, mask_source="annotated")


def predict(case: Case, segmenter: str, arm: str, replicate: int) -> np.ndarray:
    """The true scene with the head out of place, and without a symphysis where ``FAILS`` says so."""
    cohort, i = case.id.split("-")
    draws = np.random.default_rng([int(i), replicate, len(arm), len(segmenter)])
    scene = scene_of(cohort, int(i))
    moved = np.array(scene.head.centre) + ERROR[arm] * draws.standard_normal(2) + (2, 0)
    bone = replace(scene.symphysis, angle=scene.symphysis.angle + 0.01 * ERROR[arm] * draws.standard_normal())
    found = Scene(bone, Oval(tuple(moved), scene.head.long, scene.head.short, scene.head.angle)).class_map()
    if arm == "real" and int(i) == 8 + FAILS and replicate == 0:
        found[found == 1] = 0
    return found


def pair_world(root, **more) -> World:
    """No cohort is held out; six test cases of three patients."""
    arms = {name: ARMS[name] for name in ("real", "synthetic")}
    about = {"held_out": None, "preset": "psfhs_smoke", "structures": PSFHS, "task": TASK}
    about |= {"make_case": pair_case, "predict": predict}
    return World(root, **{**about, "arms": arms, **more})
