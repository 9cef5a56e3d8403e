"""The report: one HTML page that answers whether synthetic data helped, in words, numbers and pictures."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.comparison.report import answers, numbers
from pipeline.comparison.report.charts import charts_of
from pipeline.comparison.report.explorer import COLOURS
from pipeline.comparison.report.heat_map import heat_maps, shade
from pipeline.comparison.report.numbers import Display
from pipeline.comparison.report.series import arm_in_words, legend
from pipeline.comparison.statistics import estimates
from pipeline.comparison.statistics.comparison import Comparison
from pipeline.comparison.statistics.summary import COUNTED
from pipeline.config.cohorts import held_out_names
from pipeline.config.segmenters import Segmenter
from pipeline.quality import measures
from pipeline.quality.pages.page import DESCRIPTORS, tile
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
    templates = environment("pipeline.comparison.report")
    templates.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    forms = (numbers.fixed, numbers.span, numbers.p_value, numbers.in_labels)
    for form in (*forms, measures.short, answers.claim, shade, arm_in_words, tile):
        templates.filters[form.__name__] = form
    templates.filters |= {
        "score": display.value,
        "difference": display.difference,
        "size": display.size,
        "score_interval": lambda value: numbers.interval(value, display.value),
        "difference_interval": lambda value: numbers.interval(value, display.difference),
        "percent": Display(METRICS["dice"]).value,
    }
    return templates.get_template("report.html.j2").render(
        **context,
        CATALOGUE=measures.CATALOGUE,
        QUESTIONS=measures.QUESTIONS,
        SHAPES=DESCRIPTORS,
        METRICS=METRICS,
        COUNTED=COUNTED,
        COLOURS=COLOURS,
        estimates=estimates,
        params=params,
        comparison=comparison,
        unseen=unseen,
        held_out=held_out_names(params.cohorts),
        answers=answers,
        Display=Display,
        metric=display.metric,
        display=display,
        results=of_cohort,
        charts={name: charts_of(ones, baseline) for name, ones in of_cohort.items()},
        phantoms=[name for name in of_cohort if is_phantom(name, params.cohorts[name].raw)],
        legend=legend(params.arms[name] for name in params.grid.arms),
        heat_maps=heat_maps(comparison.with_synthetic),
        largest=max((abs(one.gain) for one in comparison.with_synthetic), default=0.0),
        effort=effort({name: params.segmenters[name] for name in params.grid.segmenters}),
    )
