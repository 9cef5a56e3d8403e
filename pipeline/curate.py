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

    from pipeline.data.structures import names
    from pipeline.data.writer import write_dataset
    from pipeline.quality.selection import curation
    from pipeline.quality.selection.label_budget import LabelBudget, score, scores
    from pipeline.run import seeds
    from pipeline.run.compute import setup

    budget, settings = LabelBudget(filter, synthetic, train, unlabelled, setup(params.compute)), params.curate
    samples, scorers, label_scores = budget.samples, {}, {}
    if settings.mask_agreement or settings.hardness:
        scorers["mask_agreement"] = budget.agreement
        label_scores["mask_agreement"] = budget.label_agreement
    if settings.plausibility:
        scorers["plausibility"] = budget.feature_distance
        label_scores["plausibility"] = score(budget.labels, budget.feature_distance)
    if settings.training_distance:
        scorers["training_distance"] = budget.training_distance
        label_scores["training_distance"] = budget.label_distances
    rng = seeds.numpy_generator(params.seed, "curate", len(samples.labels), samples.provenance.get("replicate"))
    found = scores(samples.cases, scorers)
    order, report = curation.select(synthetic, len(samples.cases), found, label_scores, settings, rng)
    log = logging.getLogger("pipeline.curate")
    for name in curation.blind(report["thresholds"], names(samples.structures)):
        told = (
            "the filter does not find '%s' in labels of its own, so that curate.mask_agreement drops no sample for it; "
        )
        log.warning(told + "raise filter.steps, filter.image_size, grid.labels or curate.quantile", name)
    message = "%d of %d samples kept, in %d rows; dropped (some by more than one): %s"
    log.info(message, *(report[key] for key in ("kept", "of", "rows", "dropped")))
    write_dataset(
        out,
        curation.rows(samples.cases, order),
        role="synthetic",
        structures=samples.structures,
        labels=samples.labels,
        provenance={**samples.provenance, "curated": report},
    )


if __name__ == "__main__":
    main(run, PARAMS)
