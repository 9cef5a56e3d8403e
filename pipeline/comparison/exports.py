"""What leaves the comparison beside the report: the nested metrics for DVC, and a long table for plots."""

from collections.abc import Mapping, Sequence

from pipeline.comparison.age_part import AgePart
from pipeline.comparison.budgets import Budget
from pipeline.comparison.oracle import OracleBox
from pipeline.comparison.quality import SyntheticSets
from pipeline.comparison.scores import CELL
from pipeline.comparison.statistics.estimates import mean_of_known
from pipeline.comparison.statistics.summary import COUNTED, Result, measured


def metrics(
    results: Sequence[Result],
    sets: SyntheticSets,
    budgets: Sequence[Budget],
    boxes: Sequence[OracleBox],
    ages: AgePart | None = None,
) -> dict:
    """Small nested metrics: cohort → segmenter → n<labels> → arm → means over cases and replicates.

    The synthetic sets' quality stands under "synthetic", what was trained under "training", scores with boxes drawn
    from the reference under "oracle_box", models of age under "age".

    Of each descriptor of the masks' shapes one number: the distance of the sampled ones, averaged over structures.
    """
    tree: dict = {}
    for one in results:
        leaf = {name: mean_of_known(values) for name, values in one.replicate_means.items() if name not in COUNTED}
        if one.difference is not None:
            leaf[f"{one.metric.name}_minus_baseline"] = one.difference.mean
        counts = one.counts | {"n_cases": one.score.n_cases, "n_replicates": one.score.n_replicates}
        _put(tree, (one.cohort, one.segmenter, f"n{one.labels}", one.arm), leaf | counts)
    for labels, measures in sets.measures.items():
        leaf = {}
        for mean, _ in measures:
            name = mean.name if mean.view is None else f"{mean.name}_{mean.view}"
            leaf[name] = mean.value
            # The ends of those of privacy are the same by definition.
            if mean.question != "privacy":
                leaf |= {f"{name}_best": mean.best, f"{name}_worst": mean.worst}
        distances: dict[str, list[float | None]] = {}
        for shape in sets.shapes[labels]:
            distances.setdefault(f"mask_{shape.descriptor}", []).append(shape.mean("synthetic", "distance"))
        means = {name: mean_of_known(values) for name, values in distances.items()}
        _put(tree, ("synthetic", f"n{labels}"), leaf | means)
    for one in budgets:
        leaf = {key: one.records[0][key] for key in ("trainable_parameters", "parameters")}
        leaf["labels_seen"] = one.range("labels")[1]
        _put(tree, ("training", one.segmenter, f"n{one.labels}", one.arm), leaf)
    for one in boxes:
        leaf = {"dice_oracle_box": one.sam, "dice_ellipse_in_box": one.ellipse}
        _put(tree, ("oracle_box", one.cohort, one.segmenter, f"n{one.labels}", one.arm), leaf)
    for one in ages.comparison.results if ages else ():
        leaf = {
            "error_days": one.error.mean,
            "bias_days": one.summary.agreement.bias,
            "r2": one.summary.determination.value,
            "covered": one.summary.covered.value,
            "zoom_slope_days": one.slope.value,
            "missing": one.summary.missing.part,
        }
        _put(tree, ("age", one.cohort, one.model, f"n{one.labels}", one.arm), leaf)
    return tree


def _put(tree: dict, path: Sequence[str], values: Mapping[str, float | int | None]) -> None:
    """Add values at a place of the tree, with six digits: the last bits stay out of `dvc metrics diff`."""
    for key in path:
        tree = tree.setdefault(key, {})
    tree.update({name: float(f"{one:.6g}") if isinstance(one, float) else one for name, one in values.items()})


def long_table(results: Sequence[Result], replicates: Sequence[int], baseline: str) -> list[dict]:
    """One row per cohort, segmenter, labels, arm and replicate, for plots; ``difference`` is of the primary."""
    unknown, names = [None] * len(replicates), measured(results)
    base = {(one.cohort, one.segmenter, one.labels): one.of_replicates for one in results if one.arm == baseline}
    return [
        {
            **{key: getattr(one, key) for key in CELL},
            "extra": one.spec.extra,
            "ratio": float(one.spec.ratio),
            "unlabelled": one.spec.unlabelled.method if one.spec.unlabelled else "none",
            "replicate": replicate,
            **{name: one.replicate_means.get(name, unknown)[i] for name in names},
            "difference": one.of_replicates[i] - base[one.cohort, one.segmenter, one.labels][i],
        }
        for one in results
        for i, replicate in enumerate(replicates)
    ]
