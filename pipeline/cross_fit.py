"""Stage cross_fit: a segmenter for each fold of the labels, whose masks features are taken of."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "segmenters", "augment", "age")


def run(params, *, segmenter: str, base: Path, train: Path, labels: int, replicate: int, out: Output) -> None:
    """Fine-tune one network a fold of the label subset's patients, each on the labels of all others."""
    from pipeline.config.segmenters import chosen_segmenter

    settings = chosen_segmenter(params.segmenters, segmenter)
    from pipeline.data.dataset import open_dataset
    from pipeline.data.labels import read_labels
    from pipeline.run import seeds
    from pipeline.run.cells import cell_name
    from pipeline.run.compute import check_precision, setup
    from pipeline.run.progress import progress
    from pipeline.run.resume import Scratch
    from pipeline.run.stage import SCRATCH
    from pipeline.tasks.segmentation.cross_fitting import cross_fit

    device = setup(params.compute)
    check_precision(f"segmenters.{segmenter}.mixed_precision", settings.mixed_precision, device)
    folds, name = params.age.folds, cell_name(segmenter, labels, replicate)
    scratches = [Scratch(SCRATCH, f"cross-fit-{name}-{k}", [train, base], params.as_dict()) for k in range(folds)]
    with progress(f"cross-fit {name}", settings.steps * folds) as tick:
        cross_fit(
            read_labels(train, labels, replicate, params.seed),
            open_dataset(train, splits=[]).structures,
            folds,
            name=segmenter,
            settings=settings,
            augmentation=params.augment,
            base=base,
            seed_of_fold=lambda fold: seeds.derive(params.seed, "cross-fit", labels, replicate, fold),
            device=device,
            on_step=tick,
            out=out,
            scratch_of=scratches.__getitem__,
        )
    for scratch in scratches:
        scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
