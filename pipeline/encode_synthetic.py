"""Stage encode_synthetic: what the frozen encoder makes of a synthetic set, once for every arm."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "segmenters", "augment")


def run(params, *, segmenter: str, base: Path, synthetic: Path, out: Output) -> None:
    """Embed a synthetic set in its views, image by image.

    Nothing but a note where the encoder is trained too, or is a U-Net's.
    """
    settings = params.segmenter(segmenter)
    if not settings.frozen_encoder:
        from pipeline.features.not_encoded import leave_note

        leave_note(out)
        return
    from pipeline.data.dataset import open_dataset
    from pipeline.features.embeddings import encode, examples_of
    from pipeline.networks.sam.checkpoint import base_digest, load_base
    from pipeline.run.compute import setup
    from pipeline.run.progress import progress

    device = setup(params.compute)
    cases = open_dataset(synthetic).cases
    with progress(f"encode {synthetic.name}", len(cases)) as tick:
        encode(
            load_base(base, settings.base, 1),
            examples_of(cases, settings.base.image_size),
            len(cases),
            out,
            base=base_digest(base),
            views=settings.base.views,
            augmentation=params.augment,
            seed=params.seed,
            device=device,
            on_image=tick,
        )


if __name__ == "__main__":
    main(run, PARAMS)
