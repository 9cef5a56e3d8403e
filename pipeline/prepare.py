"""Stage prepare: read one raw cohort into the dataset contract, split by patient."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "task", "cohorts")


def run(params, *, cohort: str, out: Output, raw: Path | None = None) -> None:
    """Read a raw cohort, check it, merge patients that share an image, split the patients and write it as a dataset.

    ``raw`` is the cohort's own unless another folder is given. DVC gives none: no shell may see a path of the user's.
    """
    from pipeline.cohorts.preparation import prepare_cohort
    from pipeline.data.structures import of_task
    from pipeline.run.errors import InputError

    if cohort not in params.cohorts:
        raise InputError(f"no cohort '{cohort}' under cohorts; there are {', '.join(params.cohorts)}")
    settings, structures = params.cohorts[cohort], of_task(params.task.structures)
    prepare_cohort(out, cohort, settings, structures, raw or Path(settings.raw), params.seed)


if __name__ == "__main__":
    main(run, PARAMS)
