"""Stage prepare: read one raw cohort into the dataset contract, split by patient."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "task", "cohorts")


def run(params, *, cohort: str, out: Output, raw: Path | None = None) -> None:
    """Read a raw cohort, check it, split its patients and write it as a dataset.

    ``raw`` is the cohort's own unless another folder is given. DVC gives none: no shell may see a path of the user's.
    """
    from pipeline.cohorts.readers import read_cohort
    from pipeline.cohorts.splits import split_patients
    from pipeline.data.structures import of_task
    from pipeline.data.writer import write_dataset
    from pipeline.run.errors import InputError

    if cohort not in params.cohorts:
        raise InputError(f"no cohort '{cohort}' under cohorts; there are {', '.join(params.cohorts)}")
    settings, structures = params.cohorts[cohort], of_task(params.task.structures)
    cases = read_cohort(cohort, settings, structures, raw or Path(settings.raw))
    if settings.splits is not None:
        cases = split_patients(cases, settings.splits, params.seed)
    read = {"reader", "labelled", "classes", "structures"}
    provenance = settings.model_dump(mode="json", include=read, exclude_none=True)
    write_dataset(out, cases, role=settings.role, structures=structures, provenance=provenance)


if __name__ == "__main__":
    main(run, PARAMS)
