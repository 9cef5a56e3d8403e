"""Stage assemble_simulated: what an arm of simulated cases adds to its labelled cases."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "arms", "phantom")


def run(params, *, train: Path, labels: int, replicate: int, arm: str, out: Output) -> None:
    """Write simulated cases with their exact masks; no image of the training cohort is read."""
    from pipeline.arms.count import extra_count
    from pipeline.arms.simulated import simulated_cases, simulated_cohorts
    from pipeline.data.dataset import open_dataset
    from pipeline.data.labels import label_ids
    from pipeline.data.writer import write_dataset

    spec, view = params.arms[arm], params.phantom.view
    cohorts, count = simulated_cohorts(view), extra_count(arm, spec, labels)
    write_dataset(
        out,
        simulated_cases(view, count, params.seed, replicate, cohorts),
        role="extra",
        structures=open_dataset(train, splits=[]).structures,
        labels=label_ids(train, labels, replicate, params.seed),
        provenance={"extra": spec.extra, "view": view, "cohorts": list(cohorts)},
    )


if __name__ == "__main__":
    main(run, PARAMS)
