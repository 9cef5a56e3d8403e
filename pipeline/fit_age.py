"""Stage fit_age: one model of gestational age, on the labels of a subset and what an arm adds to them."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "age", "age_models")


def run(
    params, *, model: str, train: Path, features: Path, measured: Path, extra: Path, labels: int, replicate: int,
    arm: str, out: Output, metrics: Output,
) -> None:  # fmt: skip
    """Fit on the features of the labels; calibrate intervals, and ask which features count, on the val split.

    Ages of no other case are read.
    """
    from pipeline.config.age import chosen_age_model

    settings = chosen_age_model(params.age_models, model)
    from pipeline.data.ages import FORMULAS
    from pipeline.data.dataset import open_dataset
    from pipeline.data.labels import label_ids
    from pipeline.run import files, seeds
    from pipeline.run.cells import cell_name
    from pipeline.run.compute import setup
    from pipeline.run.progress import progress
    from pipeline.run.resume import Scratch
    from pipeline.run.stage import SCRATCH
    from pipeline.tasks.gestational_age.estimators import fit_estimator
    from pipeline.tasks.gestational_age.extra import joined, read_extra
    from pipeline.tasks.gestational_age.fitting import (
        aged,
        calibrated,
        described,
        known_ages,
        save_about,
        save_intervals,
    )
    from pipeline.tasks.gestational_age.taken import taken_alike

    device, formula = setup(params.compute), FORMULAS[params.age.formula]
    name, how = cell_name(model, labels, replicate, arm), taken_alike(features, measured)
    ages = known_ages(train, ("train", "val"))
    ids = {
        "train": label_ids(train, labels, replicate, params.seed),
        "val": open_dataset(train, ("val",)).cases.column("id"),
    }
    known, val = (aged(measured / train.name, features, ids[split], ages) for split in ("train", "val"))
    inputs, days = joined(known.inputs, known.days, read_extra(extra, formula))
    seed = seeds.derive(params.seed, "age", labels, replicate)
    # Of all kinds only a network takes long enough to be resumed.
    inputs_read = [train, features, measured, extra]
    scratch = Scratch(SCRATCH, f"age-{name}", inputs_read, params.as_dict()) if settings.kind == "network" else None
    with progress(f"fit {name}", getattr(settings, "steps", 1)) as tick:
        estimator = fit_estimator(
            model, settings, inputs, days, formula, seed=seed, device=device, scratch=scratch, on_step=tick
        )
    intervals = calibrated(estimator, val, inputs.patients, params.age.coverage)
    told = described(estimator, known, val, len(days) - len(known), intervals, seed)
    estimator.save(out, {"labels": list(known.inputs.ids), "arm": arm, "extra_cases": told["extra"]})
    save_intervals(out, intervals)
    save_about(out, how, told["ages"], days)
    files.write_json(metrics, {"task": settings.task} | told)
    if scratch:
        scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
