"""What leaves the comparison beside the report: the nested metrics for DVC, and a long table for plots."""

from collections.abc import Sequence

import numpy as np

from pipeline.comparison.oracle import OracleBox
from pipeline.comparison.scores import METRICS
from pipeline.comparison.statistics.estimates import mean_of_known
from pipeline.comparison.statistics.summary import Result
from pipeline.comparison.synthetic import Budget, Quality, Shape


def metrics(
    results: Sequence[Result],
    quality: Sequence[Quality],
    shapes: Sequence[Shape],
    budgets: Sequence[Budget],
    boxes: Sequence[OracleBox],
) -> dict:
    """Small nested metrics: cohort → segmenter → n<labels> → arm → means.

    The synthetic sets' quality stands under "synthetic", what was trained under "training", scores with boxes drawn
    from the reference under "oracle_box".

    Of each descriptor of the masks' shapes one number: the distance of the sampled ones, averaged over structures.
    """
    tree: dict = {}
    for result in results:
        leaf = {name: _average(result.replicate_means[name]) for name in ("dice", "iou", "hd95_px", "hc_error_percent")}
        if result.difference is not None:
            leaf["dice_minus_baseline"] = result.difference.mean
        leaf = {name: _six_digits(value) for name, value in leaf.items()}
        counts = {"missing": result.missing, "n_cases": result.n_cases, "n_replicates": result.dice.n_replicates}
        branch = tree.setdefault(result.cohort, {}).setdefault(result.segmenter, {})
        branch.setdefault(f"n{result.labels}", {})[result.arm] = leaf | counts
    for one in quality:
        name = one.first.name if one.first.view is None else f"{one.first.name}_{one.first.view}"
        leaf = {name: one.mean("value"), f"{name}_best": one.mean("best"), f"{name}_worst": one.mean("worst")}
        if one.first.question == "privacy":
            # Their ends are the same by definition.
            leaf = {name: one.mean("value")}
        branch = tree.setdefault("synthetic", {}).setdefault(f"n{one.labels}", {})
        branch.update({key: _six_digits(value) for key, value in leaf.items()})
    distances: dict[tuple[int, str], list[float | None]] = {}
    for one in shapes:
        distances.setdefault((one.labels, one.descriptor), []).append(one.distance)
    for (labels, descriptor), values in distances.items():
        branch = tree.setdefault("synthetic", {}).setdefault(f"n{labels}", {})
        branch[f"mask_{descriptor}"] = _six_digits(mean_of_known(values))
    for one in budgets:
        leaf = {"trainable_parameters": one.trainable, "parameters": one.parameters, "labels_seen": one.seen[1]}
        branch = tree.setdefault("training", {}).setdefault(one.segmenter, {})
        branch.setdefault(f"n{one.labels}", {})[one.arm] = leaf
    for one in boxes:
        leaf = {"dice_oracle_box": _six_digits(one.sam), "dice_ellipse_in_box": _six_digits(one.ellipse)}
        branch = tree.setdefault("oracle_box", {}).setdefault(one.cohort, {}).setdefault(one.segmenter, {})
        branch.setdefault(f"n{one.labels}", {})[one.arm] = leaf
    return tree


def _average(values: Sequence[float | None]) -> float | None:
    return None if None in values else float(np.mean(values))


def _six_digits(value: float | None) -> float | None:
    # Enough for any reader, and differences in the last bits stay out of `dvc metrics diff`.
    return None if value is None else float(f"{value:.6g}")


def long_table(results: Sequence[Result], replicates: Sequence[int], baseline: str) -> list[dict]:
    """One row per cohort, segmenter, number of labels, arm and replicate, for plots."""
    base = {(one.cohort, one.segmenter, one.labels): one.dice_of_replicates for one in results if one.arm == baseline}
    return [
        {
            "cohort": one.cohort,
            "segmenter": one.segmenter,
            "labels": one.labels,
            "arm": one.arm,
            "extra": one.spec.extra,
            "ratio": float(one.spec.ratio),
            "replicate": replicate,
            **{name: one.replicate_means[name][i] for name in METRICS if name not in ("dice", "missing")},
            "dice": one.dice_of_replicates[i],
            "dice_minus_baseline": one.dice_of_replicates[i] - base[one.cohort, one.segmenter, one.labels][i],
            "n_cases": one.n_cases,
        }
        for one in results
        for i, replicate in enumerate(replicates)
    ]
