"""The report: one HTML page that answers whether synthetic data helped, in words, numbers and pictures."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from pipeline.comparison.report import figures
from pipeline.comparison.report.answers import claim
from pipeline.comparison.report.heat_map import shade
from pipeline.comparison.report.numbers import (
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
from pipeline.comparison.report.tiles import BASELINE, PREDICTION, REFERENCE
from pipeline.comparison.statistics.estimates import LEVEL, MIN_REPLICATES, POWER
from pipeline.comparison.statistics.summary import Result
from pipeline.config.arms import Arm
from pipeline.config.segmenters import Segmenter
from pipeline.quality.measures import CATALOGUE, QUESTIONS
from pipeline.quality.templates import environment

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


def is_phantom(name: str, raw: str) -> bool:
    """Whether a cohort is simulated, by its name or the folder its raw data come from."""
    return name.startswith("phantom") or any(part.startswith("phantom") for part in Path(raw).parts)


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


def charts(results: Mapping[str, Sequence[Result]], arms: Iterable[Arm], baseline: str) -> dict[str, object]:
    """The page's SVG charts by cohort, from its results: Dice over labels (from two numbers of them), over ratio, and
    differences from the baseline where there are any; and the legend of the arms.
    """
    several = len({one.labels for ones in results.values() for one in ones}) > 1
    curves, ratios, forests = {}, {}, {}
    for name, ones in results.items():
        if several:
            curves[name] = figures.learning_curves(
                ones, baseline, f"curve-{name}", f"Dice over number of labels, cohort {name}"
            )
        ratios[name] = figures.dice_against_ratio(
            ones, baseline, f"ratio-{name}", f"Mean Dice against ratio, cohort {name}"
        )
        if any(one.difference for one in ones):
            forests[name] = figures.differences(
                ones, f"difference-{name}", f"Dice differences from {baseline}, cohort {name}"
            )
    kinds = {"curve_figures": curves, "ratio_figures": ratios, "difference_figures": forests}
    drawn = {kind: {name: Markup(svg) for name, svg in those.items()} for kind, those in kinds.items()}
    return {**drawn, "legend": figures.legend(arms)}


def embedded_json(value: dict) -> str:
    """JSON that may stand inside a script element."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("</", "<\\/"))


def render(**context) -> str:
    """The page, from the values its template names: everything it shows is inside it."""
    templates = environment("pipeline.comparison.report")
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
    names |= {"MIN_REPLICATES": MIN_REPLICATES, "LEVEL": LEVEL, "POWER": POWER, "infinity": float("inf")}
    colours = {"reference_colour": REFERENCE, "baseline_colour": BASELINE, "prediction_colour": PREDICTION}
    return templates.get_template("report.html.j2").render(**names, **colours, **context)
