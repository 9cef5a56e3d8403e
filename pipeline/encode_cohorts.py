"""Stage encode_cohorts: what the frozen encoder makes of real images, once for every arm."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "cohorts", "segmenters", "augment")


def run(params, *, segmenter: str, base: Path, train: Path, held_out: Path, out: Output) -> None:
    """Embed the train images in their views, and the test images of every cohort as they are; no mask is read.

    Nothing but a note where the encoder is trained too, or is a U-Net's.
    """
    settings = params.segmenter(segmenter)
    if not settings.frozen_encoder:
        from pipeline.features.not_encoded import leave_note

        leave_note(out)
        return
    from pipeline.data.dataset import read_images
    from pipeline.features.embeddings import encode, examples_of
    from pipeline.networks.sam.checkpoint import base_digest, load_base
    from pipeline.run.cells import prune_datasets
    from pipeline.run.compute import setup
    from pipeline.run.progress import progress

    device = setup(params.compute)
    prune_datasets(held_out, params.held_out())
    network = load_base(base, settings.base, 1)
    digest = base_digest(base)
    stores = [("pool", train, "train", settings.base.views)]
    stores += [
        (f"test/{path.name}", path, "test", 1) for path in (train, *(held_out / name for name in params.held_out()))
    ]
    for name, path, split, views in stores:
        cases = read_images(path, splits=[split])
        with progress(f"encode {name}", len(cases)) as tick:
            encode(
                network,
                examples_of(cases, settings.base.image_size),
                len(cases),
                out / name,
                base=digest,
                views=views,
                augmentation=params.augment,
                seed=params.seed,
                device=device,
                on_image=tick,
            )


if __name__ == "__main__":
    main(run, PARAMS)
