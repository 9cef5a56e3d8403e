"""Stage predict_unet: segment the test cases and every held-out cohort with a U-Net, from their images alone."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("compute", "cohorts")


def run(params, *, segmenter: Path, test: Path, held_out: Path, out: Output) -> None:
    """Predict class maps at native resolution; the mask columns of the datasets are never read."""
    from pipeline.config.cohorts import held_out_names
    from pipeline.networks.segmenter import load_segmenter
    from pipeline.networks.unet import checkpoint
    from pipeline.run.compute import setup
    from pipeline.tasks.segmentation.prediction import predict

    device = setup(params.compute)
    network, about = load_segmenter(checkpoint, segmenter, device)
    cohorts = [test, *(held_out / name for name in held_out_names(params.cohorts))]
    predict(network, about, cohorts, out, device)


if __name__ == "__main__":
    main(run, PARAMS)
