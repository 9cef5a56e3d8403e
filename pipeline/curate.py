"""Stage curate: keep the samples that the filter believes, that lie among the labels and that copy nothing."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "curate")


def run(params, *, filter: Path, synthetic: Path, train: Path, unlabelled: Path, out: Output) -> None:
    """Drop samples that score worse than a quantile of the labels' own scores, and repeat those hard for the filter.

    Only the n labels of the set judge it: their filter networks, each for the patients it was not trained on, and the
    images that the generator was shown. No mask of ``train`` is used beyond what made the filter.
    """
    import logging

    from pipeline.data.dataset import check_structures, open_dataset
    from pipeline.data.writer import write_dataset
    from pipeline.quality import curation
    from pipeline.quality.label_budget import ImagesShown, LabelBudgetFilter, scores
    from pipeline.run import seeds
    from pipeline.run.compute import setup
    from pipeline.run.errors import InputError

    judge = LabelBudgetFilter(filter, train, setup(params.compute))
    settings = params.curate
    check_structures(synthetic, judge.structures, f"the filter {filter}")
    samples = open_dataset(synthetic)
    judge.check_labels(samples.labels, synthetic)
    scorers, label_scores = {}, {}
    if settings.mask_agreement or settings.hardness:
        scorers["mask_agreement"] = lambda cases: judge.agreement(cases).mean(axis=1)
        label_scores["mask_agreement"] = list(judge.label_dice.values())
    if settings.plausibility:
        scorers["plausibility"] = judge.feature_distance
        label_scores |= scores(judge.labels, {"plausibility": judge.feature_distance})
    if settings.training_distance:
        others = unlabelled if samples.provenance.get("unlabelled") else None
        shown = ImagesShown(judge.labels, others, max(samples.cases[0].image.shape))
        scorers["training_distance"], label_scores["training_distance"] = shown.distance, shown.label_distances
    rng = seeds.numpy_generator(params.seed, "curate", len(samples.labels), samples.provenance.get("replicate"))
    try:
        chosen = curation.select(scores(samples.cases, scorers), label_scores, len(samples.cases), settings, rng)
    except InputError as error:
        raise InputError(f"{synthetic}: {error}") from None
    logging.getLogger("pipeline.curate").info(
        "%d of %d samples kept, in %d rows; dropped (some by more than one): %s",
        *(chosen.report[key] for key in ("kept", "of", "rows", "dropped")),
    )
    write_dataset(
        out,
        curation.rows(samples.cases, chosen.order),
        role="synthetic",
        structures=samples.structures,
        labels=samples.labels,
        provenance={**samples.provenance, "curated": chosen.report},
    )


if __name__ == "__main__":
    main(run, PARAMS)
