"""Stage predict: segment the test cases and every held-out cohort from their images alone."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("compute", "cohorts")


def run(params, *, base: Path, segmenter: Path, test: Path, held_out: Path, embeddings: Path, out: Output) -> None:
    """Predict class maps at native resolution; the mask columns of the datasets are never read.

    Where the encoder was frozen its embeddings of these images are on disk already.
    """
    from pipeline.data.dataset import check_structures, read_images
    from pipeline.data.predictions import write_predictions
    from pipeline.data.structures import from_json
    from pipeline.networks.segmenter import load_segmenter, read_settings
    from pipeline.run.cells import prune_datasets
    from pipeline.run.compute import setup
    from pipeline.tasks.segmentation.inference import predict_native

    device = setup(params.compute)
    network, config = load_segmenter(segmenter, device, base)
    prune_datasets(held_out, params.held_out())
    cohorts = [test, *(held_out / name for name in params.held_out())]
    for path in cohorts:
        check_structures(path, from_json(config["structures"]), "the segmenter")
    for path in cohorts:
        cases = read_images(path, splits=["test"])
        if read_settings(config).frozen_encoder:
            from pipeline.features.embeddings import Embeddings

            store = Embeddings(embeddings / "test" / path.name, config["base"])
        else:
            store = None
        maps = predict_native(network, cases, config["image_size"], device, store)
        write_predictions(out / f"{path.name}.parquet", [case.id for case in cases], maps)


if __name__ == "__main__":
    main(run, PARAMS)
