"""Predictions of one fine-tuned segmenter on whole cohorts."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from pipeline.data.dataset import check_structures, read_images
from pipeline.data.predictions import write_predictions
from pipeline.data.structures import from_json
from pipeline.tasks.segmentation.inference import Encoded, predict_native


def predict(
    network: nn.Module, about: dict, cohorts: Sequence[Path], out: Path, device, encoded: Encoded | None = None
) -> None:
    """Write the class maps of every test case of the cohorts at native resolution, one file a cohort.

    Args:
        network, about: a fine-tuned segmenter and its configuration.
        encoded: see :func:`predict_native`.

    Raises:
        InputError: a cohort has other structures than the segmenter; nothing is written then.
    """
    for path in cohorts:
        check_structures(path, from_json(about["structures"]), "the segmenter")
    for path in cohorts:
        cases = read_images(path, splits=["test"])
        maps = predict_native(network, cases, about["image_size"], device, encoded)
        write_predictions(out / f"{path.name}.parquet", [case.id for case in cases], maps)
