"""Stage prepare: read one raw cohort into the dataset contract, split by patient."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "task", "cohorts")


def run(params, *, cohort: str, raw: Path, out: Output) -> None:
    """Read a raw cohort, check it, merge patients that share an image, split the patients and write it as a dataset."""
    from pipeline.cohorts.preparation import prepare_cohort
    from pipeline.data.structures import of_task
    from pipeline.run.errors import InputError

    if cohort not in params.cohorts:
        raise InputError(f"no cohort '{cohort}' under cohorts; there are {', '.join(params.cohorts)}")
    prepare_cohort(out, cohort, params.cohorts[cohort], of_task(params.task.structures), raw, params.seed)


if __name__ == "__main__":
    main(run, PARAMS)
