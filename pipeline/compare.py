"""Stage compare: did synthetic data help? Metrics, a table for plots, and the report."""

from pathlib import Path

from pipeline.core.stage import Output, main

PARAMS = ("seed", "grid", "arms", "segmenters", "oracle", "cohorts", "compare")


def run(
    params,
    *,
    evaluation: Path,
    quality: Path,
    usefulness: Path,
    samples: Path,
    synthetic: Path,
    curated: Path,
    predictions: Path,
    live: Path,
    training: Path,
    oracle: Path,
    test: Path,
    held_out: Path,
    metrics: Output,
    table: Output,
    report: Output,
) -> None:
    """Compare the arms, paired and with intervals over patients and over replicates, and write the report.

    Outputs of cells that left the grid are removed from every folder given, among them the loss curves under ``live``,
    which nothing here reads.
    """
    import yaml
    from markupsafe import Markup

    from pipeline.comparison import answers, exports, figures, summary
    from pipeline.comparison import report as page
    from pipeline.comparison.explorer import explorer
    from pipeline.comparison.heat_map import heat_maps
    from pipeline.comparison.learning import worth
    from pipeline.comparison.oracle import load_oracle
    from pipeline.comparison.scores import load_scores
    from pipeline.comparison.segmenters import between_segmenters
    from pipeline.comparison.subgroups import by_subgroup
    from pipeline.comparison.synthetic import (
        NO_PIXELS,
        load_budgets,
        load_quality,
        load_shapes,
        load_verdicts,
        synthetic_rows,
    )
    from pipeline.core import files
    from pipeline.core.dataset import read_dataset
    from pipeline.core.prune import cell_name, prune_cells
    from pipeline.core.tables import write_table

    grid, baseline, boxed = params.grid, params.compare.baseline, params.oracle
    sets = [cell_name(n, r) for n in grid.labels for r in grid.replicates]
    cells = [cell_name(*cell) for cell in params.cells()]
    with_box = [cell_name(*cell) for cell in params.cells() if cell[0] in boxed.segmenters and cell[3] in boxed.arms]
    for keep, folders in (
        (cells, (evaluation, predictions, training)),
        (sets, (quality, usefulness, samples, synthetic, curated)),
        (with_box, (oracle,)),
        ([*sets, *cells], live.glob("*")),
    ):
        for folder in folders:
            prune_cells(folder, keep)

    unseen, held_out_names = test.name, params.held_out()
    cohorts = [*held_out_names, unseen]
    scores = load_scores(evaluation, grid, cohorts)
    resamples = params.compare.bootstrap
    patients = summary.patients_of(scores, resamples, params.seed)
    results = summary.summarise(scores, params.arms, baseline, held_out_names, patients)
    rows, shapes = load_quality(quality, usefulness, grid), load_shapes(quality, grid)
    own = read_dataset(test, splits=["train", "test"])
    labels, replicate, segmenter = grid.labels[0], grid.replicates[0], grid.segmenters[0]
    shown_sets = [cell_name(n, replicate) for n in grid.labels]
    made = {name: read_dataset(synthetic / name, None if name in shown_sets else NO_PIXELS) for name in sets}
    budgets = load_budgets(params, own.split("train"), samples, made, curated, training)
    boxes = load_oracle(oracle, grid, boxed, cohorts)
    files.write_json(metrics, exports.metrics(results, rows, shapes, budgets, boxes))
    write_table(table, exports.long_table(results, grid.replicates, baseline))

    away = [one for one in results if one.cohort in held_out_names]
    like_these = [one for one in away if (one.segmenter, one.labels) == (segmenter, labels)]
    shown = [arm for arm in (baseline, page.best_synthetic(like_these)) if arm]
    of_cohort = {name: [one for one in results if one.cohort == name] for name in cohorts}
    asked = answers.asked(results)
    worths = worth(scores, asked, baseline, patients, params.seed)
    evaluated = {name: read_dataset(held_out / name, splits=["test"]).cases for name in held_out_names}
    evaluated[unseen] = own.split("test")
    context = {
        "answer": answers.answer(away, baseline),
        "asked": answers.asked(away),
        "advice": answers.advice(away, worths),
        "controls": answers.controls(away),
        "unseen": unseen,
        "phantoms": [name for name in cohorts if page.is_phantom(name, params.cohorts[name].raw)],
        "grid": grid,
        "arms": {name: params.arms[name] for name in grid.arms},
        "baseline": baseline,
        "bootstrap": resamples,
        "family_sizes": [len(family) for family in summary.families(results, held_out_names)],
        "standings": between_segmenters(scores, grid.segmenters, baseline, patients),
        "trained": {one.segmenter: f"{one.trainable:,}" for one in budgets},
        "subgroups": by_subgroup(scores, {baseline, *(one.arm for one in asked)}, baseline, resamples, params.seed),
        "heat_maps": heat_maps(asked),
        "largest": max((abs(one.difference.mean) for one in asked), default=0.0),
        "worths": worths,
        "infinity": float("inf"),
        "curve_figures": {
            name: Markup(
                figures.learning_curves(ones, baseline, f"curve-{name}", f"Dice over number of labels, cohort {name}")
            )
            for name, ones in of_cohort.items()
            if len(grid.labels) > 1
        },
        "explorer": explorer(scores, results, evaluated, predictions, baseline, replicate),
        "held_out": held_out_names,
        "results": of_cohort,
        "legend": figures.legend(params.arms[name] for name in grid.arms),
        "ratio_figures": {
            name: Markup(figures.dice_against_ratio(ones, f"ratio-{name}", f"Mean Dice against ratio, cohort {name}"))
            for name, ones in of_cohort.items()
        },
        "difference_figures": {
            name: Markup(
                figures.differences(ones, f"difference-{name}", f"Dice differences from {baseline}, cohort {name}")
            )
            for name, ones in of_cohort.items()
            if any(one.difference for one in ones)
        },
        "quality": rows,
        "verdicts": load_verdicts(quality, grid),
        "shapes": shapes,
        "sheets": {
            n: page.sample_pictures(
                synthetic_rows(samples / f"{cell_name(n, replicate)}.csv"),
                made[cell_name(n, replicate)].cases,
                own.split("train"),
            )
            for n in grid.labels
        },
        "replicate": replicate,
        "shown_labels": labels,
        "shown_segmenter": segmenter,
        "shown_arms": shown,
        "cases": {
            name: page.case_pictures(
                scores,
                name,
                evaluated[name],
                predictions,
                segmenter,
                labels,
                replicate,
                shown,
            )
            for name in held_out_names
        },
        "budgets": budgets,
        "effort": page.effort({name: params.segmenters[name] for name in grid.segmenters}),
        "boxes": boxes,
        "jitter": boxed.jitter,
        "digests": {
            "evaluation": files.digest([evaluation / f"{name}.csv" for name in cells]),
            "predictions": files.digest([predictions / name for name in cells]),
            "synthetic sets": files.digest([synthetic / name for name in sets]),
            "curated sets": files.digest([curated / name for name in sets]),
            "quality scores": files.digest([quality / f"{name}.json" for name in sets]),
            "usefulness": files.digest([usefulness / f"{name}.json" for name in sets]),
            "sample scores": files.digest([samples / f"{name}.csv" for name in sets]),
            f"cohort {unseen}": files.digest([test]),
            **{f"cohort {name}": files.digest([held_out / name]) for name in held_out_names},
        },
        "seed": params.seed,
        "versions": page.versions(),
        "parameters": yaml.safe_dump(_without_paths(params.as_dict()), sort_keys=False),
    }
    files.write_bytes(report, page.render(context).encode())


def _without_paths(values: dict) -> dict:
    """Parameters without the folders of raw data and the files of weights, which may name a machine's own places."""
    cohorts = {name: {key: v for key, v in one.items() if key != "raw"} for name, one in values["cohorts"].items()}
    segmenters = {
        name: one | {"base": {key: v for key, v in one["base"].items() if key != "weights"}}
        for name, one in values["segmenters"].items()
        if name in values["grid"]["segmenters"]
    }
    return {**values, "cohorts": cohorts, "segmenters": segmenters}


if __name__ == "__main__":
    main(run, PARAMS)
