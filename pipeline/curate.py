"""Stage curate: keep the samples that the filter believes, that lie among the labels and that copy nothing."""

import logging
from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "curate")
CHUNK = 32
log = logging.getLogger("pipeline.curate")


def run(params, *, filter: Path, synthetic: Path, train: Path, unlabelled: Path, out: Output) -> None:
    """Drop samples that score worse than a quantile of the labels' own scores, and repeat those hard for the filter.

    Only the n labels of the set judge it: their filter networks, each for the patients it was not trained on, and the
    images that the generator was shown. No mask of ``train`` is used beyond what made the filter.
    """
    import numpy as np

    from pipeline.data.dataset import check_structures, open_dataset
    from pipeline.data.structures import from_json
    from pipeline.data.writer import write_dataset
    from pipeline.networks.weights import read_config
    from pipeline.quality import curation
    from pipeline.run import seeds
    from pipeline.run.compute import setup
    from pipeline.run.errors import InputError

    device = setup(params.compute)
    settings = params.curate
    calibration = read_config(filter, "filter")
    check_structures(synthetic, from_json(calibration["structures"]), f"the filter {filter}")
    samples = open_dataset(synthetic)
    labels = _labels(train, filter, calibration)
    if set(samples.labels) != set(calibration["out_of_fold_dice"]):
        raise InputError(f"{synthetic}: made from other labels than the filter {filter}; give the filter of its cell")
    scorers, own = {}, {}
    if settings.obedience or settings.hardness or settings.plausibility:
        obedience, plausibility = _filter_scorers(filter, calibration, labels, device)
        if settings.obedience or settings.hardness:
            scorers["obedience"], own["obedience"] = obedience, list(calibration["out_of_fold_dice"].values())
        if settings.plausibility:
            scorers["plausibility"], own["plausibility"] = plausibility, _scored(labels, plausibility)
    if settings.novelty:
        shown = unlabelled if samples.provenance.get("unlabelled") else None
        scorers["novelty"], own["novelty"] = _novelty_scorer(labels, shown, max(samples.cases[0].image.shape))
    thresholds = {
        name: curation.threshold(name, own[name], settings.quantile) if getattr(settings, name) else None
        for name in curation.CRITERIA
    }
    scores = _all_scored(samples.cases, scorers)
    dropped = curation.drops(scores, thresholds)
    kept = np.flatnonzero(curation.decide(dropped, len(samples.cases))).tolist()
    if not kept:
        raise InputError(_nothing_left(synthetic, len(samples.cases), scores, thresholds, dropped))
    hardness = 1 - scores["obedience"][kept] if settings.hardness else np.zeros(len(kept))
    counts = curation.repeats(hardness, settings.hardness)
    order = [(i, turn + 1) for i, times in zip(kept, counts, strict=True) for turn in range(times)]
    if settings.hardness:
        # An arm takes the first so many rows: they are to hold the mixture.
        rng = seeds.numpy_generator(params.seed, "curate", len(samples.labels), samples.provenance.get("replicate"))
        order = [order[i] for i in rng.permutation(len(order))]
    by_criterion = {name: int(dropped[name].sum()) if name in dropped else 0 for name in curation.CRITERIA}
    log.info(
        "%d of %d samples kept, in %d rows; dropped (some by more than one): %s",
        len(kept),
        len(samples.cases),
        len(order),
        ", ".join(f"{name} {by_criterion[name]}" for name in dropped) or "none, every criterion is off",
    )
    curated = {
        "kept": len(kept),
        "of": len(samples.cases),
        "rows": len(order),
        "thresholds": thresholds,
        "dropped": by_criterion,
        "hardness": settings.hardness,
    }
    write_dataset(
        out,
        _rows(samples.cases, kept, order),
        role="synthetic",
        structures=samples.structures,
        labels=samples.labels,
        provenance={**samples.provenance, "curated": curated},
    )


def _labels(train: Path, filter: Path, calibration: dict):
    """The filter's own labels, opened lazily."""
    from pipeline.data.dataset import open_dataset
    from pipeline.run.errors import InputError

    wanted = set(calibration["out_of_fold_dice"])
    labels = open_dataset(train, ["train"]).cases.where(lambda row: row["id"] in wanted)
    if missing := wanted - set(labels.column("id")):
        raise InputError(
            f"{train}: case '{min(missing)}', a label of the filter {filter}, is not in its train split; "
            "give the cohort that the filter was trained on, or train the filter again"
        )
    return labels


def _filter_scorers(filter: Path, calibration: dict, labels, device):
    """Obedience and plausibility: functions of a list of cases, each judged by the network of its patient's fold."""
    import numpy as np
    import torch

    from pipeline.data.stacking import stack_images, stack_masks
    from pipeline.networks.small_unet import bottleneck, load_unet
    from pipeline.quality import curation
    from pipeline.run.errors import InputError
    from pipeline.tasks.segmentation.inference import mean_dice

    fold_of, n_structures = calibration["fold_of_patient"], len(calibration["structures"])
    networks = [load_unet(filter, f"fold-{i}", device) for i in range(calibration["folds"])]

    def folds(cases):
        if lost := [case for case in cases if case.patient not in fold_of]:
            raise InputError(
                f"case '{lost[0].id}': patient '{lost[0].patient}' is not among the patients of the filter {filter}; "
                "curate a set with the filter of its own labels"
            )
        return np.array([fold_of[case.patient] for case in cases])

    def obedience(cases):
        def of_fold(fold, places):
            network, config = networks[fold]
            own = [cases[i] for i in places]
            images, masks = stack_images(own, config["image_size"]), stack_masks(own, config["image_size"])
            return mean_dice(network, images, masks, n_structures, device)

        return curation.by_fold(folds(cases), of_fold)

    @torch.inference_mode()
    def features(fold, cases):
        network, config = networks[fold]
        images = torch.from_numpy(stack_images(cases, config["image_size"]))
        return bottleneck(network, images.to(device)).double().cpu().numpy()

    training = []

    def plausibility(cases):
        if not training:
            for fold in range(len(networks)):
                others = labels.where(lambda row, fold=fold: fold_of[row["patient"]] != fold)
                training.append(np.concatenate([features(fold, chunk) for chunk in _chunks(others)]))
        return curation.by_fold(
            folds(cases),
            lambda fold, places: curation.feature_distances(features(fold, [cases[i] for i in places]), training[fold]),
        )

    return obedience, plausibility


def _novelty_scorer(labels, unlabelled: Path | None, size: int):
    """Novelty as a function of a list of cases, and that of each label against images of other patients.

    Args:
        size: pixels of the longer side of a sample; what was shown is compared at that resolution.
    """
    import numpy as np

    from pipeline.data.dataset import read_images
    from pipeline.imaging.letterbox import letterbox
    from pipeline.quality import neighbours

    def described(cases):
        boxed = (letterbox(letterbox(case.image, size)[0], neighbours.SIZE)[0] for case in cases)
        return np.stack([neighbours.descriptor(image) for image in boxed])

    shown, patients = described(labels), labels.column("patient")
    count = len(shown)
    if unlabelled is not None and (others := read_images(unlabelled)):
        shown = np.concatenate([shown, described(others)])
        patients += [case.patient for case in others]
    names = np.array(patients)
    own = neighbours.nearest(shown[:count], shown, names[:count, None] == names[None]).distance
    return (lambda cases: neighbours.nearest(described(cases), shown).distance), own


def _chunks(cases):
    """Lists of cases, read in order."""
    for start in range(0, len(cases), CHUNK):
        yield [cases[i] for i in range(start, min(start + CHUNK, len(cases)))]


def _scored(cases, scorer):
    """float (N,), of every case."""
    return _all_scored(cases, {"": scorer})[""]


def _all_scored(cases, scorers: dict) -> dict:
    """Every scorer's float (N,), in one pass over the cases with a chunk of them in memory."""
    import numpy as np

    if not scorers:
        return {}
    parts = [{name: scorer(chunk) for name, scorer in scorers.items()} for chunk in _chunks(cases)]
    return {name: np.concatenate([part[name] for part in parts]) for name in scorers}


def _rows(cases, kept: list[int], order: list[tuple[int, int]]):
    """The cases of ``order``, (place, occurrence), one by one."""
    from dataclasses import replace

    from pipeline.quality.curation import repeated_id

    in_order = [i for i, _ in order] == kept
    # Out of order every case would have its shard read anew.
    source = cases if in_order else {i: cases[i] for i in kept}
    for i, occurrence in order:
        case = source[i]
        yield replace(case, id=repeated_id(case.id, occurrence))


def _nothing_left(synthetic: Path, count: int, scores: dict, thresholds: dict, dropped: dict) -> str:
    """The message when no sample is kept: what dropped how many, and the remedy."""
    reasons = [
        f"curate.{name} drops {gone.sum()} (threshold {thresholds[name]:.3f}, "
        f"samples score {scores[name].min():.3f} to {scores[name].max():.3f})"
        for name, gone in dropped.items()
    ]
    return (
        f"{synthetic}: none of {count} samples is kept: {', '.join(reasons)}; train the diffusion model longer, "
        "lower curate.quantile, or switch off the criterion that drops most"
    )


if __name__ == "__main__":
    main(run, PARAMS)
