"""The report: one HTML page that answers whether synthetic data helped, in words, numbers and pictures."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from pipeline.comparison.report import numbers
from pipeline.comparison.report.answers import claim
from pipeline.comparison.report.heat_map import shade
from pipeline.comparison.report.numbers import Display, fixed
from pipeline.comparison.report.series import arm_in_words
from pipeline.comparison.report.tiles import BASELINE, PREDICTION, REFERENCE
from pipeline.comparison.statistics.estimates import MIN_REPLICATES, POWER
from pipeline.comparison.statistics.summary import COUNTED, RegionMeans, Result
from pipeline.config.segmenters import Segmenter
from pipeline.quality.measures import CATALOGUE, QUESTIONS
from pipeline.quality.page import SHAPES
from pipeline.quality.set_card import short
from pipeline.quality.templates import environment
from pipeline.tasks.metrics import METRICS, Metric

PROMPTS = {
    "none": "without any prompt",
    "whole_box": "prompted with a box around the whole image",
    "predicted_box": "prompted with boxes it predicted itself",
}


def is_phantom(name: str, raw: str) -> bool:
    """Whether a cohort is simulated, by its name or the folder its raw data come from."""
    return name.startswith("phantom") or any(part.startswith("phantom") for part in Path(raw).parts)


def effort(segmenters: Mapping[str, Segmenter]) -> str:
    """A sentence: the steps that arms have in common, and what each SAM is prompted with; a U-Net has no prompt."""
    phrases = {name: PROMPTS[one.prompt if one.kind == "sam" else "none"] for name, one in segmenters.items()}
    clauses = [f"{name} segments {phrase}" for name, phrase in phrases.items()]
    if len(set(phrases.values())) == 1:
        clauses = [f"every model segments {next(iter(phrases.values()))}"]
    return "; ".join(["Every arm of a model takes the same number of training steps", *clauses]) + "."


def best_synthetic(results: Sequence[Result]) -> str | None:
    """The arm with synthetic data whose mean score over the given results is best; for pictures only."""
    means: dict[str, list[float]] = {}
    for one in results:
        if one.synthetic:
            means.setdefault(one.arm, []).append(one.better * one.score.mean)
    return max(means, key=lambda arm: np.mean(means[arm])) if means else None


def embedded_json(value: dict) -> str:
    """JSON that may stand inside a script element."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("</", "<\\/"))


def mean_and_std(mean: float | None, std: float | None, factor: float) -> str:
    """``32.3 ± 11.9``; a dash where there is no value."""
    return "–" if None in (mean, std) else f"{short(factor * mean)} ± {short(factor * std)}"


def region_value(part: RegionMeans, name: str) -> str:
    """Mean of a metric in the unit shown; of the metrics that are 0 or 1 the number of predictions."""
    value = part.means.get(name)
    if name in COUNTED and value is not None:
        return f"{round(value * part.n_predictions)} of {part.n_predictions}"
    return Display(METRICS[name]).value(value)


def render(metric: Metric, charts: Mapping[str, Mapping[str, str]], **context) -> str:
    """The page, from the values its templates name: everything it shows is inside it.

    Args:
        metric: the primary. charts: cohort → name → SVG.
    """
    templates, display = environment("pipeline.comparison.report"), Display(metric)
    templates.filters |= {
        "score": display.value,
        "difference": display.difference,
        "size": display.size,
        "score_interval": lambda value: numbers.interval(value, display.value),
        "difference_interval": lambda value: numbers.interval(value, display.difference),
        "percent": Display(METRICS["dice"]).value,
        "region_value": region_value,
        "fixed": fixed,
        "short": short,
        "span": numbers.span,
        "claim": claim,
        "p_value": numbers.p_value,
        "in_labels": numbers.in_labels,
        "shade": shade,
        "embedded_json": embedded_json,
        "arm_in_words": arm_in_words,
        "base64": lambda data: base64.b64encode(data).decode(),
    }
    names = {"CATALOGUE": CATALOGUE, "QUESTIONS": QUESTIONS, "SHAPES": SHAPES, "METRICS": METRICS, "Display": Display}
    names |= {"MIN_REPLICATES": MIN_REPLICATES, "POWER": POWER, "COUNTED": COUNTED}
    names |= {"infinity": float("inf"), "mean_and_std": mean_and_std}
    colours = {"reference_colour": REFERENCE, "baseline_colour": BASELINE, "prediction_colour": PREDICTION}
    safe = {cohort: {name: Markup(svg) for name, svg in drawn.items()} for cohort, drawn in charts.items()}
    page = templates.get_template("report.html.j2")
    return page.render(metric=metric, display=display, charts=safe, **names, **colours, **context)
