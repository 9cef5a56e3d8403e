"""Stage compare: did synthetic data help? Metrics, a table for plots, and the report."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

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

    from pipeline.comparison import exports
    from pipeline.comparison.oracle import load_oracle
    from pipeline.comparison.report import answers
    from pipeline.comparison.report import page as page
    from pipeline.comparison.report.explorer import explorer
    from pipeline.comparison.report.heat_map import heat_maps
    from pipeline.comparison.report.pictures import case_pictures, sample_pictures
    from pipeline.comparison.report.provenance import versions, without_paths
    from pipeline.comparison.scores import load_scores
    from pipeline.comparison.statistics import summary
    from pipeline.comparison.statistics.learning_curve import worth
    from pipeline.comparison.statistics.standings import between_segmenters
    from pipeline.comparison.statistics.subgroups import by_subgroup
    from pipeline.comparison.synthetic import (
        NO_PIXELS,
        load_budgets,
        load_quality,
        load_shapes,
        load_verdicts,
        synthetic_rows,
    )
    from pipeline.config.cohorts import held_out_names
    from pipeline.data.dataset import read_dataset
    from pipeline.data.tables import write_table
    from pipeline.run import files
    from pipeline.run.cells import cell_name, prune_cells

    grid, baseline, boxed, resamples = params.grid, params.compare.baseline, params.oracle, params.compare.bootstrap
    sets = [cell_name(n, r) for n in grid.labels for r in grid.replicates]
    cells = [cell_name(*cell) for cell in params.grid.cells()]
    with_box = [
        cell_name(*cell) for cell in params.grid.cells() if cell[0] in boxed.segmenters and cell[3] in boxed.arms
    ]
    for keep, folders in (
        (cells, (evaluation, predictions, training)),
        (sets, (quality, usefulness, samples, synthetic, curated)),
        (with_box, (oracle,)),
        ([*sets, *cells], live.glob("*")),
    ):
        for folder in folders:
            prune_cells(folder, keep)

    unseen, held_out_names = test.name, held_out_names(params.cohorts)
    cohorts = [*held_out_names, unseen]
    scores = load_scores(evaluation, grid, cohorts)
    patients = summary.patients_of(scores, resamples, params.seed)
    results = summary.summarise(scores, params.arms, baseline, held_out_names, patients)
    rows, shapes = load_quality(quality, usefulness, grid), load_shapes(quality, grid)
    own = read_dataset(test, splits=["train", "test"])
    # Of the first replicate and the first segmenter there are pictures.
    labels, replicate, segmenter = grid.labels[0], grid.replicates[0], grid.segmenters[0]
    shown_sets = {n: cell_name(n, replicate) for n in grid.labels}
    made = {name: read_dataset(synthetic / name, None if name in shown_sets.values() else NO_PIXELS) for name in sets}
    budgets = load_budgets(params, own.split("train"), samples, made, curated, training)
    boxes = load_oracle(oracle, grid, boxed, cohorts)
    files.write_json(metrics, exports.metrics(results, rows, shapes, budgets, boxes))
    write_table(table, exports.long_table(results, grid.replicates, baseline))

    away = [one for one in results if one.cohort in held_out_names]
    of_cohort = {name: [one for one in results if one.cohort == name] for name in cohorts}
    # An arm that has seen more labels than its own stands for no number of them.
    exceeded = {(one.segmenter, one.labels, one.arm) for one in budgets if one.exceeded}
    weighed = [one for one in answers.asked(results) if (one.segmenter, one.labels, one.arm) not in exceeded]
    worths = worth(scores, weighed, baseline, patients, params.seed)
    with_synthetic = [one for one in results if one.synthetic and one.difference]
    verdict = {
        "answer": answers.answer(away, baseline),
        "asked": answers.asked(away),
        "advice": answers.advice(away, baseline, worths),
        "controls": answers.controls(away),
    }
    compared = {
        "results": of_cohort,
        "family_sizes": [len(family) for family in summary.families(results, held_out_names)],
        "standings": between_segmenters(scores, grid.segmenters, baseline, patients),
        "subgroups": by_subgroup(
            scores, {baseline, *(one.arm for one in with_synthetic)}, baseline, resamples, params.seed
        ),
        "heat_maps": heat_maps(with_synthetic),
        "largest": max((abs(one.difference.mean) for one in with_synthetic), default=0.0),
        "worths": worths,
    }
    trained = {
        "budgets": budgets,
        "trained": {one.segmenter: f"{one.trainable:,}" for one in budgets},
        "effort": page.effort({name: params.segmenters[name] for name in grid.segmenters}),
        "boxes": boxes,
        "jitter": boxed.jitter,
    }

    like_these = [one for one in away if (one.segmenter, one.labels) == (segmenter, labels)]
    shown = [arm for arm in (baseline, page.best_synthetic(like_these)) if arm]
    evaluated = {name: read_dataset(held_out / name, splits=["test"]).cases for name in held_out_names}
    evaluated[unseen] = own.split("test")
    pictures = {
        "replicate": replicate,
        "shown_labels": labels,
        "shown_segmenter": segmenter,
        "shown_arms": shown,
        "sheets": {
            n: sample_pictures(synthetic_rows(samples / f"{name}.csv"), made[name].cases, own.split("train"))
            for n, name in shown_sets.items()
        },
        "cases": {
            name: case_pictures(scores, name, evaluated[name], predictions, segmenter, labels, replicate, shown)
            for name in held_out_names
        },
        "explorer": explorer(scores, results, evaluated, predictions, baseline, replicate),
    }
    provenance = {
        "seed": params.seed,
        "versions": versions(),
        "parameters": yaml.safe_dump(without_paths(params.as_dict()), sort_keys=False),
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
    }
    html = page.render(
        grid=grid,
        baseline=baseline,
        bootstrap=resamples,
        held_out=held_out_names,
        unseen=unseen,
        phantoms=[name for name in cohorts if page.is_phantom(name, params.cohorts[name].raw)],
        quality=rows,
        shapes=shapes,
        verdicts=load_verdicts(quality, grid),
        **verdict,
        **compared,
        **trained,
        **page.charts(of_cohort, [params.arms[name] for name in grid.arms], baseline),
        **pictures,
        **provenance,
    )
    files.write_bytes(report, html.encode())


if __name__ == "__main__":
    main(run, PARAMS)
