"""Stage predict_sam: segment the test cases and every held-out cohort with a SAM, from their images alone."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import SCRATCH, Output

PARAMS = ("compute", "cohorts")


def run(params, *, base: Path, segmenter: Path, test: Path, held_out: Path, out: Output) -> None:
    """Predict class maps at native resolution; the mask columns of the datasets are never read."""
    from pipeline.config.cohorts import held_out_names
    from pipeline.networks.sam import checkpoint
    from pipeline.run.compute import setup
    from pipeline.tasks.segmentation.prediction import predict

    cohorts = [test, *(held_out / name for name in held_out_names(params.cohorts))]
    predict(checkpoint, base, segmenter, cohorts, out, setup(params.compute), SCRATCH)


if __name__ == "__main__":
    main(run, PARAMS)
