"""Stage extract_features: what age is estimated from in images alone, of one cohort."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("compute", "age")


def run(params, *, cohort: Path, out: Output) -> None:
    """Deep tokens, and radiomics of the sector, of every image; of test images at the scales of the zoom test too.

    No mask is read.
    """
    from pipeline.data.dataset import read_images
    from pipeline.features.feature_table import save_features
    from pipeline.features.token_store import save_store
    from pipeline.features.tokens import encode_cases
    from pipeline.run.compute import setup
    from pipeline.tasks.gestational_age.encoder import open_age_encoder
    from pipeline.tasks.gestational_age.features import image_features, zoomed
    from pipeline.tasks.gestational_age.layout import IMAGES, SPLITS, scales
    from pipeline.tasks.gestational_age.taken import save_taken, taken

    settings = params.age
    save_taken(out, taken(settings))
    encoder = open_age_encoder(settings.encoder, setup(params.compute))
    cases = read_images(cohort, SPLITS)
    for name, scale, splits in scales(settings.zooms):
        seen = [zoomed(case, scale) for case in cases if case.split in splits]
        if seen:
            save_store(out / name, encode_cases(encoder, ((case.id, case.image) for case in seen)))
            save_features(out / name / IMAGES, image_features(seen, settings.image_size, settings.binning))


if __name__ == "__main__":
    main(run, PARAMS)
