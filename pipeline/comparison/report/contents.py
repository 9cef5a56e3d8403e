"""What the page shows, by the names its templates use."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.comparison.budgets import Budget
from pipeline.comparison.oracle import OracleBox
from pipeline.comparison.report import answers
from pipeline.comparison.report.charts import charts_of
from pipeline.comparison.report.explorer import explorer
from pipeline.comparison.report.heat_map import heat_maps
from pipeline.comparison.report.page import best_synthetic, effort, is_phantom
from pipeline.comparison.report.pictures import Picture, case_pictures, sample_pictures
from pipeline.comparison.report.series import legend
from pipeline.comparison.scores import SIZE, ScoreTable
from pipeline.comparison.statistics.comparison import Comparison
from pipeline.data.case import Case
from pipeline.data.dataset import Dataset
from pipeline.data.predictions import read_predictions
from pipeline.data.tables import read_table
from pipeline.run.cells import cell_name
from pipeline.tasks.metrics import METRICS


def segmentation(params, comparison: Comparison, scores: ScoreTable, unseen: str) -> dict:
    """The answer, and what it rests on: results, charts, heat maps, learning curves, subgroups."""
    grid, baseline, held_out = params.grid, params.compare.baseline, params.held_out()
    metric, away = comparison.results[0].metric, [one for one in comparison.results if one.cohort in held_out]
    of_cohort: dict[str, list] = {}
    for one in comparison.results:
        of_cohort.setdefault(one.cohort, []).append(one)
    in_regions = {name for one in comparison.results for part in one.regions for name in part.means}
    return {
        "metric": metric,
        "grid": grid,
        "baseline": baseline,
        "bootstrap": params.compare.bootstrap,
        "unseen": unseen,
        "held_out": held_out,
        "structures": list(params.task.structures),
        "left_out": {cohort: one.cases.left_out for (cohort, *_), one in scores.items()},
        "phantoms": [name for name in of_cohort if is_phantom(name, params.cohorts[name].raw)],
        "answer": answers.answer(away, baseline),
        "asked": answers.asked(away),
        "advice": answers.advice(away, baseline, comparison.worths),
        "controls": answers.controls(away),
        "results": of_cohort,
        "charts": {name: charts_of(name, ones, baseline) for name, ones in of_cohort.items()},
        "legend": legend(params.arms[name] for name in grid.arms),
        "family_sizes": comparison.family_sizes,
        "standings": comparison.standings,
        "subgroups": comparison.subgroups,
        "heat_maps": heat_maps(comparison.with_synthetic),
        "largest": max((abs(one.gain) for one in comparison.with_synthetic), default=0.0),
        "worths": comparison.worths,
        "others": [name for name in METRICS if name in in_regions - {SIZE}],
    }


def training(params, budgets: Sequence[Budget], boxes: Sequence[OracleBox]) -> dict:
    """What was trained with how many labels, and what boxes drawn from the reference add."""
    return {
        "budgets": budgets,
        "trained": {one.segmenter: f"{one.trainable:,}" for one in budgets},
        "effort": effort({name: params.segmenters[name] for name in params.grid.segmenters}),
        "boxes": boxes,
        "jitter": params.oracle.jitter,
    }


def pictures(
    params, comparison: Comparison, scores: ScoreTable, cases: Mapping[str, Sequence[Case]], predictions: Path
) -> dict:
    """Cases with outlines, of the first segmenter, number of labels and replicate; and the explorer of every case."""
    grid, baseline, held_out = params.grid, params.compare.baseline, params.held_out()
    segmenter, labels, replicate = grid.segmenters[0], grid.labels[0], grid.replicates[0]
    first = [one for one in comparison.results if (one.segmenter, one.labels) == (segmenter, labels)]
    best = best_synthetic([one for one in first if one.cohort in held_out])
    shown = [arm for arm in (baseline, best) if arm]
    chosen = {}
    for name in held_out:
        folders = {arm: predictions / cell_name(segmenter, labels, replicate, arm) for arm in shown}
        predicted = {arm: read_predictions(folder / f"{name}.parquet") for arm, folder in folders.items()}
        own = {arm: scores[name, segmenter, labels, arm] for arm in shown}
        chosen[name] = case_pictures(own, cases[name], predicted)
    return {
        "replicate": replicate,
        "shown_labels": labels,
        "shown_segmenter": segmenter,
        "shown_arms": shown,
        "cases": chosen,
        "explorer": explorer(scores, comparison.results, cases, predictions, baseline, replicate),
    }


def sheets(grid, samples: Path, made: Mapping[str, Dataset], train: Sequence[Case]) -> dict[int, list[Picture]]:
    """Number of labels → samples of the set of the first replicate.

    Args:
        samples: folder of the tables of samples. made: cell name → synthetic set. train: the real train cases.
    """
    found = {}
    for labels in grid.labels:
        name = cell_name(labels, grid.replicates[0])
        rows = [row for row in read_table(samples / f"{name}.csv") if row["set"] == "synthetic"]
        found[labels] = sample_pictures(rows, made[name].cases, train)
    return found
