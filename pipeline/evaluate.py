"""Stage evaluate: per-case scores of one arm's predictions at native resolution."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("task", "cohorts")


def run(params, *, predictions: Path, test: Path, held_out: Path, out: Output) -> None:
    """Score every region of every test case of every cohort; a missing prediction counts with the worst scores.

    With a symphysis and a head, what is measured between them is a region of its own.

    One row per cell, cohort, case, region and metric.
    """
    import numpy as np

    from pipeline.config.cohorts import held_out_names
    from pipeline.data.dataset import check_structures, open_dataset
    from pipeline.data.predictions import read_predictions
    from pipeline.data.structures import of_task
    from pipeline.data.tables import write_table
    from pipeline.tasks.segmentation.pair import pair_of
    from pipeline.tasks.segmentation.scores import regions_of, score_case

    structures = of_task(params.task.structures)
    regions, rows = regions_of(structures, params.task.unions, params.task.hausdorff), []
    pair = pair_of(structures)
    for path in (test, *(held_out / name for name in held_out_names(params.cohorts))):
        check_structures(path, structures, "the parameters")
        predicted = read_predictions(predictions / f"{path.name}.parquet")
        for case in open_dataset(path, splits=["test"]).cases:
            prediction = predicted.get(case.id, np.zeros_like(case.mask))
            key = {"cell": predictions.name, "cohort": path.name}
            rows += [key | row for row in score_case(prediction, case, regions, pair)]
    write_table(out, rows)


if __name__ == "__main__":
    main(run, PARAMS)
