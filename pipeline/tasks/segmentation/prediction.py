"""Predictions of one fine-tuned segmenter on whole cohorts."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.data.dataset import check_structures, read_images
from pipeline.data.predictions import write_predictions
from pipeline.data.structures import from_json
from pipeline.networks.segmenter import Kind, load_segmenter, read_settings
from pipeline.tasks.segmentation.inference import predict_native


def predict(
    kind: Kind, base: Path, segmenter: Path, cohorts: Sequence[Path], out: Path, device, scratch_root: Path
) -> None:
    """Write the class maps of every test case of the cohorts at native resolution, one file a cohort.

    Raises:
        InputError: a cohort has other structures than the segmenter; nothing is written then.
    """
    network, about = load_segmenter(kind, segmenter, device, base)
    for path in cohorts:
        check_structures(path, from_json(about["structures"]), "the segmenter")
    encoded, settings = None, read_settings(segmenter, about)
    if settings.kind == "sam" and settings.train == "decoder":
        from pipeline.features.embeddings import EmbeddingStore

        encoded = EmbeddingStore(scratch_root / "embeddings", base, network).embeddings
    for path in cohorts:
        cases = read_images(path, splits=["test"])
        maps = predict_native(network, cases, about["image_size"], device, encoded)
        write_predictions(out / f"{path.name}.parquet", [case.id for case in cases], maps)
