"""The report: one HTML page that answers whether synthetic data helped, in words, numbers and pictures."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from pipeline.comparison import figures
from pipeline.comparison.answers import claim
from pipeline.comparison.heat_map import shade
from pipeline.comparison.numbers import (
    fixed,
    in_labels,
    interval,
    mean_and_std,
    p_value,
    percent,
    points,
    significant,
    span,
)
from pipeline.comparison.scores import ScoreTable
from pipeline.comparison.statistics import LEVEL, MIN_REPLICATES, POWER
from pipeline.comparison.summary import Result
from pipeline.comparison.tiles import BASELINE, CASE_HEIGHT, PREDICTION, REFERENCE, SAMPLE_HEIGHT, mask_tile, tile
from pipeline.core.case import Case
from pipeline.core.errors import InputError
from pipeline.core.measures import CATALOGUE, QUESTIONS
from pipeline.core.predictions import read_predictions
from pipeline.core.prune import cell_name
from pipeline.core.segmenter_params import Segmenter
from pipeline.core.templates import environment

PACKAGES = ("diffusers", "matplotlib", "numpy", "scipy", "torch", "torch-fidelity", "transformers")

PROMPTS = {
    "none": "without any prompt",
    "whole_box": "prompted with a box around the whole image",
    "predicted_box": "prompted with boxes it found itself",
}

SHAPES = {
    "area": ("Area", "% of the image", 100, 1),
    "aspect": ("Aspect ratio", "minor over major axis", 1, 2),
    "angle": ("Angle", "of the major axis, degrees of 180", 1, 0),
    "row": ("Height of the centroid", "% of the image, from the top", 100, 1),
    "column": ("Place of the centroid", "% of the image, from the left", 100, 1),
}
"""Name, unit, factor and digits of every descriptor of the masks."""


@dataclass(frozen=True)
class Picture:
    """PNG tiles that stand side by side, with a line for each and a caption."""

    tiles: tuple[bytes, ...]
    lines: tuple[str, ...]
    caption: str
    badge: str | None = None


def is_phantom(name: str, raw: str) -> bool:
    """Whether a cohort is simulated, by its name or the folder its raw data come from."""
    return name.startswith("phantom") or any(part.startswith("phantom") for part in Path(raw).parts)


def sample_pictures(samples: Sequence[dict], cases: Sequence[Case], train: Sequence[Case]) -> list[Picture]:
    """Nine samples spread over obedience, best first, then the three that obey least.

    Args:
        samples: rows of a samples table (id, obedience, nearest).
        cases, train: the synthetic cases and the real ones their neighbours are among.

    Raises:
        InputError: the table names a case that is not there.
    """
    ordered = sorted(samples, key=lambda row: (-float(row["obedience"]), row["id"]))
    worst = ordered[-3:] if len(ordered) > 3 else []
    rest = ordered[: len(ordered) - len(worst)]
    places = dict.fromkeys(np.linspace(0, len(rest) - 1, min(9, len(rest))).round().astype(int).tolist())
    by_id, real = {case.id: case for case in cases}, {case.id: case for case in train}
    pictures = []
    for row in [*(rest[i] for i in places), *worst]:
        if row["id"] not in by_id or row["nearest"] not in real:
            raise InputError(f"sample '{row['id']}' or its neighbour '{row['nearest']}' is gone; run `dvc repro score`")
        case = by_id[row["id"]]
        tiles = (
            mask_tile(case.mask, SAMPLE_HEIGHT),
            tile(case.image, SAMPLE_HEIGHT),
            tile(real[row["nearest"]].image, SAMPLE_HEIGHT),
        )
        caption = f"obedience {float(row['obedience']):.2f} · distance {float(row['distance']):.2f}"
        pictures.append(
            Picture(tiles, ("mask", "synthetic", "nearest real"), caption, "obeys least" if row in worst else None)
        )
    return pictures


def effort(segmenters: Mapping[str, Segmenter]) -> str:
    """A sentence: the steps that arms have in common, and what each SAM is prompted with; a U-Net has no prompt."""
    phrases = {name: PROMPTS[one.prompt if one.kind == "sam" else "none"] for name, one in segmenters.items()}
    first = next(iter(phrases.values()))
    if len(segmenters) == 1:
        return f"Every arm takes the same number of training steps, and segments {first}."
    if len(set(phrases.values())) == 1:
        clauses = [f"every model segments {first}"]
    else:
        clauses = [f"{name} segments {phrase}" for name, phrase in phrases.items()]
    return "; ".join(["Every arm of a model takes the same number of training steps", *clauses]) + "."


def best_synthetic(results: Sequence[Result]) -> str | None:
    """The arm with synthetic data whose mean Dice over the given results is highest; for pictures only."""
    means: dict[str, list[float]] = {}
    for one in results:
        if one.synthetic:
            means.setdefault(one.arm, []).append(one.dice.mean)
    return max(means, key=lambda arm: np.mean(means[arm])) if means else None


def case_pictures(
    scores: ScoreTable,
    cohort: str,
    cases: Sequence[Case],
    predictions: Path,
    segmenter: str,
    labels: int,
    replicate: int,
    arms: Sequence[str],
) -> list[Picture]:
    """Best, worst and most changed cases of one cohort: reference and predicted contours, arms side by side.

    Args:
        cases: the cohort's cases with their masks.
        replicate: the first one of the grid, whose scores come first in ``scores``.
        arms: one or two, the baseline first.
    """
    dice = {arm: scores[cohort, segmenter, labels, arm].per_case("dice")[0] for arm in arms}
    ids = scores[cohort, segmenter, labels, arms[0]].case_ids
    cells = {arm: cell_name(segmenter, labels, replicate, arm) for arm in arms}
    maps = {arm: read_predictions(predictions / cell / f"{cohort}.parquet") for arm, cell in cells.items()}
    by_id = {case.id: case for case in cases}
    pictures = []
    for badge, place in _telling(np.stack([dice[arm] for arm in arms])):
        case = by_id[ids[place]]
        tiles, lines = [], []
        for arm in arms:
            predicted = maps[arm].get(case.id, np.zeros_like(case.mask))
            contours = [(case.mask, REFERENCE), (predicted, PREDICTION)]
            tiles.append(tile(case.image, CASE_HEIGHT, contours))
            lines.append(f"{arm}: Dice {percent(dice[arm][place])} %")
        pictures.append(Picture(tuple(tiles), tuple(lines), case.id, badge))
    return pictures


def _telling(dice: np.ndarray) -> list[tuple[str, int]]:
    """(why, case) of up to six different cases; ``dice``: float (arms, cases), baseline first."""
    order = np.argsort(dice.mean(axis=0), kind="stable")
    wanted = [("best", order[-1]), ("best", order[-2:][0]), ("worst", order[0]), ("worst", order[:2][-1])]
    if len(dice) > 1:
        change = dice[1] - dice[0]
        if change.max() > 0:
            wanted.append(("largest gain", change.argmax()))
        if change.min() < 0:
            wanted.append(("largest loss", change.argmin()))
    chosen: dict[int, str] = {}
    for why, place in wanted:
        chosen[int(place)] = f"{chosen[int(place)]}, {why}" if chosen.get(int(place), why) != why else why
    return [(why, place) for place, why in chosen.items()]


def embedded_json(value: dict) -> str:
    """JSON that may stand inside a script element."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("</", "<\\/"))


def versions() -> dict[str, str]:
    """Versions of the packages the numbers depend on, as far as they are installed."""
    import platform
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def render(context: dict) -> str:
    """The page: everything it shows is inside it."""
    templates = environment("pipeline.comparison")
    templates.filters |= {
        "points": points,
        "percent": percent,
        "fixed": fixed,
        "significant": significant,
        "mean_and_std": mean_and_std,
        "interval": interval,
        "signed_interval": lambda value: interval(value, points),
        "span": span,
        "claim": claim,
        "p_value": p_value,
        "in_labels": in_labels,
        "shade": shade,
        "embedded_json": embedded_json,
        "describe": figures.describe,
        "base64": lambda data: base64.b64encode(data).decode(),
    }
    names = {"CATALOGUE": CATALOGUE, "QUESTIONS": QUESTIONS, "SHAPES": SHAPES}
    names |= {"MIN_REPLICATES": MIN_REPLICATES, "LEVEL": LEVEL, "POWER": POWER}
    colours = {"reference_colour": REFERENCE, "baseline_colour": BASELINE, "prediction_colour": PREDICTION}
    return templates.get_template("report.html.j2").render(**names, **colours, **context)
