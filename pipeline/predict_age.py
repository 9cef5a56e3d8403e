"""Stage predict_age: gestational age of the test cases and of every held-out cohort, from their images alone."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("compute", "cohorts", "age")


def run(params, *, model: Path, features: Path, measured: Path, test: Path, held_out: Path, out: Output) -> None:
    """One row a case and scale of its image: age in days with its interval; empty where there is no estimate.

    No age and no mask of the cohorts is read.
    """
    from pipeline.config.cohorts import held_out_names
    from pipeline.data.dataset import open_dataset
    from pipeline.data.tables import write_table
    from pipeline.run.compute import setup
    from pipeline.tasks.gestational_age.estimators import load_estimator
    from pipeline.tasks.gestational_age.fitting import load_intervals
    from pipeline.tasks.gestational_age.layout import scales
    from pipeline.tasks.gestational_age.prediction import rows_of
    from pipeline.tasks.gestational_age.reading import read_inputs

    estimator, intervals, rows = load_estimator(model, setup(params.compute)), load_intervals(model), []
    for path in (test, *(held_out / name for name in held_out_names(params.cohorts))):
        ids = open_dataset(path, ("test",)).cases.column("id")
        for _, scale, _ in scales(params.age.zooms):
            inputs = read_inputs(measured / path.name, features / path.name, scale, ids)
            rows += rows_of(path.name, scale, inputs, estimator, intervals)
    write_table(out, rows)


if __name__ == "__main__":
    main(run, PARAMS)
