"""Stage compare: did synthetic data help? Metrics, a table for plots, and the report."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "grid", "arms", "segmenters", "oracle", "cohorts", "task", "age", "compare")


def run(
    params,
    *,
    evaluation: Path,
    quality: Path,
    usefulness: Path,
    samples: Path,
    synthetic: Path,
    predictions: Path,
    live: Path,
    training: Path,
    oracle: Path,
    ages: Path,
    test: Path,
    held_out: Path,
    cohorts: Path,
    metrics: Output,
    table: Output,
    report: Output,
) -> None:
    """Compare the arms, paired and with intervals over patients and over replicates, and write the report.

    Outputs of cells that left the grid are removed from every folder given, among them the loss curves under ``live``,
    which nothing here reads.
    """
    from pipeline.comparison import exports
    from pipeline.comparison.age_part import age_folders, age_part
    from pipeline.comparison.budgets import load_budgets
    from pipeline.comparison.median_angle import median_angles
    from pipeline.comparison.oracle import load_oracle
    from pipeline.comparison.quality import load_quality
    from pipeline.comparison.report import page
    from pipeline.comparison.report.cohorts import load_cohorts
    from pipeline.comparison.report.explorer import explorer
    from pipeline.comparison.report.pictures import sample_sheets
    from pipeline.comparison.report.provenance import provenance
    from pipeline.comparison.scores import load_scores
    from pipeline.comparison.statistics.comparison import compare_arms
    from pipeline.config.cohorts import held_out_names
    from pipeline.data.dataset import open_dataset, read_dataset
    from pipeline.data.structures import of_task
    from pipeline.data.tables import write_table
    from pipeline.run import files
    from pipeline.run.cells import cell_name, prune_cells
    from pipeline.tasks.segmentation.pair import pair_of

    grid, boxed = params.grid, params.oracle
    sets = [cell_name(*one) for one in grid.sets()]
    cells = [cell_name(*one) for one in grid.cells()]
    with_box = [cell_name(*one) for one in grid.cells() if one[0] in boxed.segmenters and one[3] in boxed.arms]
    (estimates, fits), aged = age_folders(ages), [cell_name(*one) for one in params.age.cells(grid)]
    kept = {
        **dict.fromkeys((evaluation, predictions, training), cells),
        **dict.fromkeys((quality, usefulness, samples, synthetic), sets),
        **{folder: [*sets, *cells] for folder in live.glob("*")},
        oracle: with_box,
        **dict.fromkeys((estimates, fits), aged),
    }
    for folder, names in kept.items():
        prune_cells(folder, names)

    away = [held_out / name for name in held_out_names(params.cohorts)]
    cases = {path.name: read_dataset(path, splits=["test"]).cases for path in (*away, test)}
    scores = load_scores(evaluation, grid, cases, params.task)
    budgets = load_budgets(grid, params.arms, training)
    comparison = compare_arms(scores, params, budgets)
    worth = load_quality(quality, usefulness, grid)
    boxes = load_oracle(oracle, grid, boxed, list(cases))
    of_age = age_part(estimates, fits, params, cases)
    pair = pair_of(of_task(params.task.structures))
    files.write_json(metrics, exports.metrics(comparison.results, worth, budgets, boxes, of_age))
    write_table(table, exports.long_table(comparison.results, grid.replicates, params.compare.baseline))

    read = {folder.name: [folder / name for name in kept[folder]] for folder in (predictions, synthetic)}
    suffixes = {evaluation: "csv", quality: "json", usefulness: "json", samples: "csv", estimates: "csv", fits: "json"}
    for folder, suffix in suffixes.items():
        read[folder.name] = [folder / f"{name}.{suffix}" for name in kept[folder]]
    read["cohorts"] = [cohorts]
    read |= {f"cohort {path.name}": [path] for path in (test, *away)}
    html = page.render(
        params,
        comparison,
        test.name,
        budgets=budgets,
        boxes=boxes,
        sets=worth,
        cohorts=load_cohorts(cohorts),
        sheets=sample_sheets(grid, samples, synthetic, test),
        ages=of_age,
        medians=median_angles(open_dataset(test, splits=["train"]).cases, cases, pair),
        explorer=explorer(scores, comparison.results, predictions, params.compare.baseline, grid.replicates[0], pair),
        **provenance(params, read),
    )
    files.write_bytes(report, html.encode())


if __name__ == "__main__":
    main(run, PARAMS)
