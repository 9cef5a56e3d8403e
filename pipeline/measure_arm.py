"""Stage measure_arm: what age is estimated from in the cases that an arm adds to the labels."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("compute", "task", "age")


def run(params, *, extra: Path, out: Output) -> None:
    """Features of the images and of their own masks, and the age that each head's circumference implies.

    An arm without extra cases has an empty table.

    Raises:
        InputError: a case whose pixel size is not known, or whose mask has no head.
    """
    from pipeline.data.dataset import open_dataset
    from pipeline.data.structures import of_task
    from pipeline.features.feature_table import save_features
    from pipeline.features.token_store import save_store
    from pipeline.features.tokens import encode_cases
    from pipeline.run.compute import setup
    from pipeline.tasks.gestational_age.encoder import open_age_encoder
    from pipeline.tasks.gestational_age.features import check_sizes, head_index, image_features, mask_features
    from pipeline.tasks.gestational_age.layout import IMAGES, MASKS, scale_name

    settings, folder = params.age, out / scale_name()
    head = head_index(of_task(params.task.structures))
    cases = list(open_dataset(extra).cases.decoded())
    table = mask_features(cases, (case.mask == head for case in cases), settings.image_size, settings.binning)
    check_sizes(extra.name, table)
    save_features(folder / MASKS, table)
    if cases:
        encoder = open_age_encoder(settings.encoder, setup(params.compute))
        save_features(folder / IMAGES, image_features(cases, settings.image_size, settings.binning))
        save_store(folder, encode_cases(encoder, ((case.id, case.image) for case in cases)))


if __name__ == "__main__":
    main(run, PARAMS)
