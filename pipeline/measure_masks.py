"""Stage measure_masks: what age is estimated from in masks that the cross-fitted segmenters predict."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("compute", "task", "cohorts", "age")


def run(params, *, networks: Path, base: Path, train: Path, held_out: Path, out: Output) -> None:
    """Circumference, and radiomics of the head and of a ring along its outline: of the labels by the network that has
    not seen their patient, of val and test cases by the mean of all networks; of test images at the scales of the zoom
    test too.

    No mask of the cohorts is read.
    """
    from pipeline.config.cohorts import held_out_names
    from pipeline.data.dataset import check_structures, read_images
    from pipeline.data.structures import of_task
    from pipeline.features.feature_table import save_features
    from pipeline.run.compute import setup
    from pipeline.tasks.gestational_age.features import head_index, mask_features, zoomed
    from pipeline.tasks.gestational_age.layout import MASKS, SPLITS, scales
    from pipeline.tasks.gestational_age.taken import save_taken, taken
    from pipeline.tasks.segmentation.cross_fitted import CrossFitted

    settings, structures = params.age, of_task(params.task.structures)
    fitted, head = CrossFitted(networks, setup(params.compute), base), head_index(structures)
    cohorts = [train, *(held_out / name for name in held_out_names(params.cohorts))]
    for path in cohorts:
        check_structures(path, fitted.structures, "the segmenter")
    save_taken(out, taken(settings))
    for path in cohorts:
        cases = [case for case in read_images(path, SPLITS) if _asked(case, fitted.labels)]
        for name, scale, splits in scales(settings.zooms):
            seen = [zoomed(case, scale) for case in cases if case.split in splits]
            if seen:
                masks = (fitted.mask(case) == head for case in seen)
                table = mask_features(seen, masks, settings.image_size, settings.binning)
                save_features(out / path.name / name / MASKS, table)


def _asked(case, labels) -> bool:
    return case.split != "train" or case.id in labels


if __name__ == "__main__":
    main(run, PARAMS)
