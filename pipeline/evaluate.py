"""Stage evaluate: per-case scores of one arm's predictions at native resolution."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("cohorts",)


def run(params, *, predictions: Path, test: Path, held_out: Path, out: Output) -> None:
    """Score every test case of every cohort; a missing prediction counts with the worst scores.

    The circumference is that of the structure of role ``head``; of any other it is left empty. ``area`` is the share of
    the image that the structure covers in the reference.
    """
    from dataclasses import asdict

    import numpy as np

    from pipeline.config.cohorts import held_out_names
    from pipeline.data.dataset import read_dataset
    from pipeline.data.predictions import read_predictions
    from pipeline.data.tables import write_table
    from pipeline.tasks.segmentation.scores import score_case

    rows = []
    for path in (test, *(held_out / name for name in held_out_names(params.cohorts))):
        dataset = read_dataset(path, splits=["test"])
        predicted = read_predictions(predictions / f"{path.name}.parquet")
        for case in dataset.cases:
            class_map = predicted.get(case.id, np.zeros_like(case.mask))
            for k, structure in enumerate(dataset.structures, start=1):
                if not (case.mask == k).any():
                    continue
                scores = score_case(class_map == k, case.mask == k, case.pixel_mm, is_head=structure.role == "head")
                key = {"cohort": path.name, "structure": structure.name, "id": case.id, "patient": case.patient}
                about = {"country": case.country, "device": case.device, "area": float((case.mask == k).mean())}
                rows.append({**key, **about, **asdict(scores)})
    write_table(out, rows)


if __name__ == "__main__":
    main(run, PARAMS)
