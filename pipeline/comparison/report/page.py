"""The report: one HTML page that answers whether synthetic data helped, in words, numbers and pictures."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from pipeline.comparison.report import answers, numbers
from pipeline.comparison.report.answers import claim
from pipeline.comparison.report.charts import charts_of
from pipeline.comparison.report.explorer import COLOURS
from pipeline.comparison.report.heat_map import heat_maps, shade
from pipeline.comparison.report.numbers import Display, fixed, in_labels, p_value, span
from pipeline.comparison.report.series import arm_in_words, legend
from pipeline.comparison.scores import SIZE
from pipeline.comparison.statistics.comparison import Comparison
from pipeline.comparison.statistics.estimates import MIN_REPLICATES, POWER
from pipeline.comparison.statistics.summary import COUNTED
from pipeline.config.cohorts import held_out_names
from pipeline.config.segmenters import Segmenter
from pipeline.quality.measures import CATALOGUE, DESCRIPTORS, QUESTIONS, short
from pipeline.quality.pages.templates import environment
from pipeline.tasks.metrics import METRICS

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


def embedded_json(value: dict) -> str:
    """JSON that may stand inside a script element."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("</", "<\\/"))


def render(params, comparison: Comparison, unseen: str, **context) -> str:
    """The page: everything it shows is inside it.

    Args:
        unseen: the training cohort, whose test patients are compared too.
        context: budgets, boxes, sets (quality of the synthetic sets), sheets (samples), explorer, and the provenance.
    """
    results, baseline = comparison.results, params.compare.baseline
    display, of_cohort = Display(results[0].metric), {}
    for one in results:
        of_cohort.setdefault(one.cohort, []).append(one)
    drawn = {name: charts_of(name, ones, baseline) for name, ones in of_cohort.items()}
    in_regions = {name for one in results for part in one.regions for name in part.means} - {SIZE}
    templates = environment("pipeline.comparison.report")
    for form in (fixed, short, span, claim, p_value, in_labels, shade, embedded_json, arm_in_words):
        templates.filters[form.__name__] = form
    templates.filters |= {
        "score": display.value,
        "difference": display.difference,
        "size": display.size,
        "score_interval": lambda value: numbers.interval(value, display.value),
        "difference_interval": lambda value: numbers.interval(value, display.difference),
        "percent": Display(METRICS["dice"]).value,
        "base64": lambda data: base64.b64encode(data).decode(),
    }
    names = {
        "CATALOGUE": CATALOGUE,
        "QUESTIONS": QUESTIONS,
        "SHAPES": DESCRIPTORS,
        "METRICS": METRICS,
        "COUNTED": COUNTED,
    }
    names |= {"MIN_REPLICATES": MIN_REPLICATES, "POWER": POWER, "infinity": float("inf"), "COLOURS": COLOURS}
    return templates.get_template("report.html.j2").render(
        **names,
        **context,
        params=params,
        comparison=comparison,
        unseen=unseen,
        held_out=held_out_names(params.cohorts),
        answers=answers,
        Display=Display,
        metric=display.metric,
        display=display,
        results=of_cohort,
        charts={name: {kind: Markup(svg) for kind, svg in charts.items()} for name, charts in drawn.items()},
        others=[name for name in METRICS if name in in_regions],
        phantoms=[name for name in of_cohort if is_phantom(name, params.cohorts[name].raw)],
        legend=legend(params.arms[name] for name in params.grid.arms),
        heat_maps=heat_maps(comparison.with_synthetic),
        largest=max((abs(one.gain) for one in comparison.with_synthetic), default=0.0),
        effort=effort({name: params.segmenters[name] for name in params.grid.segmenters}),
    )
