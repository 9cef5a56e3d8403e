"""The report: one HTML page that answers whether synthetic data helped, in words, numbers and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.comparison.budgets import Budget, differ_in_passes
from pipeline.comparison.report import answers, numbers
from pipeline.comparison.report.ages import TASKS, days, in_days
from pipeline.comparison.report.agreement import SYNTHETIC, bland_altman
from pipeline.comparison.report.charts import charts_of
from pipeline.comparison.report.explorer import COLOURS
from pipeline.comparison.report.heat_map import heat_maps, shade
from pipeline.comparison.report.numbers import Display
from pipeline.comparison.report.series import arm_in_words, legend
from pipeline.comparison.report.standing import notes, standing
from pipeline.comparison.statistics import estimates
from pipeline.comparison.statistics.comparison import Comparison
from pipeline.comparison.statistics.summary import COUNTED, Result, asked_cohorts, measured
from pipeline.config.cohorts import held_out_names
from pipeline.quality import measures
from pipeline.quality.measures import DESCRIPTORS
from pipeline.quality.pages.page import tile
from pipeline.quality.pages.templates import environment
from pipeline.tasks.gestational_age.scores import TRIMESTERS, WORST_ERROR_DAYS
from pipeline.tasks.metrics import METRICS, PAIR

STRUCTURE_METRICS = ("dice", "hd95_px", "asd_official_px")
"""Of each structure of a pair, beside what is measured between them."""


def is_phantom(name: str, raw: str) -> bool:
    """Whether a cohort is simulated, by its name or the folder its raw data come from."""
    return name.startswith("phantom") or any(part.startswith("phantom") for part in Path(raw).parts)


def render(params, comparison: Comparison, unseen: str, budgets: Sequence[Budget], **context) -> str:
    """The page: everything it shows is inside it.

    Args:
        unseen: the training cohort, whose test patients are compared too.
        context: boxes, cohorts, sets (quality of the synthetic sets), sheets (samples), explorer, medians
            (what the median angle is worth), ages (see :func:`with_ages`, or None), and the provenance.
    """
    display, of_cohort = Display(comparison.results[0].metric), {}
    for one in comparison.results:
        of_cohort.setdefault(one.cohort, []).append(one)
    templates = environment("pipeline.comparison.report")
    templates.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    forms = (numbers.fixed, numbers.span, numbers.p_value, numbers.in_labels, numbers.interval)
    for form in (*forms, measures.short, answers.claim, answers.counted, notes, shade, standing, arm_in_words, tile):
        templates.filters[form.__name__] = form
    angle_difference = Display(METRICS["aop_deg"]).difference
    templates.filters |= {
        "angle_difference": angle_difference,
        "score": display.value,
        "difference": display.difference,
        "size": display.size,
        "score_interval": lambda value: numbers.interval(value, display.value),
        "difference_interval": lambda value: numbers.interval(value, display.difference),
        "percent": Display(METRICS["dice"]).value,
        "age_days": days,
    }
    return templates.get_template("report.html.j2").render(
        **context,
        measures=measures,
        DESCRIPTORS=DESCRIPTORS,
        METRICS=METRICS,
        PAIR=PAIR,
        STRUCTURE_METRICS=STRUCTURE_METRICS,
        SYNTHETIC=SYNTHETIC,
        angle_difference=angle_difference,
        age_days=days,
        in_days=in_days,
        in_hundredths=lambda value: numbers.fixed(value, 2),
        in_percent=lambda value: f"{100 * value:.0f} %",
        TASKS=TASKS,
        TRIMESTERS=TRIMESTERS,
        WORST_ERROR_DAYS=WORST_ERROR_DAYS,
        agreement=_agreement(params, comparison, of_cohort),
        COUNTED=COUNTED,
        COLOURS=COLOURS,
        estimates=estimates,
        params=params,
        budgets=budgets,
        budget_of={(one.segmenter, one.labels, one.arm): one for one in budgets},
        differ_in_passes=differ_in_passes(budgets),
        dual_arms=[name for name in params.grid.arms if params.arms[name].networks],
        comparison=comparison,
        unseen=unseen,
        asked_cohorts=asked_cohorts(params.cohorts),
        own_split=None if held_out_names(params.cohorts) else f"the test split of {unseen}",
        answers=answers,
        Display=Display,
        metric=display.metric,
        display=display,
        results=of_cohort,
        others=_of_regions(comparison),
        charts={name: charts_of(ones, params.compare.baseline) for name, ones in of_cohort.items()},
        phantoms=[name for name in of_cohort if is_phantom(name, params.cohorts[name].raw)],
        legend=legend(params.arms[name] for name in params.grid.arms),
        heat_maps=heat_maps(comparison.with_synthetic),
        largest=max((abs(one.gain) for one in comparison.with_synthetic), default=0.0),
    )


def _of_regions(comparison: Comparison) -> list[str]:
    """The metrics that a structure or union has: what is measured between two has a part of its own."""
    regions = [one.regions for one in comparison.results]
    own = {name for each in regions for region, values in each.items() if region != PAIR for name in values}
    return [name for name in measured(comparison.results) if name in own]


def _agreement(params, comparison: Comparison, of_cohort: Mapping[str, Sequence[Result]]) -> dict[str, str]:
    """Cohort → its Bland-Altman plot, where an angle is scored."""
    drawn = {}
    for name, results in of_cohort.items():
        if own := [one for one in comparison.angles if one.cohort == name]:
            drawn[name] = bland_altman(own, results, params.compare.baseline, params.arms)
    return drawn
