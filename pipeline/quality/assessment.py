"""From what was measured of four sets of images to one record a number, each between its references.

The sets: ``synthetic``, the one in question; ``reference``, the train split; ``unseen``, real images of patients
nothing was trained on, the best that could be expected; ``foreign``, images of another cohort, the worst reference.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from pipeline.features import extractors
from pipeline.quality import distributions
from pipeline.quality.fidelity import fidelity
from pipeline.quality.frechet import frechet_distance
from pipeline.quality.imprint import imprinted, largest
from pipeline.quality.intervals import mean_measure, statistic_measure
from pipeline.quality.mask_shapes import DESCRIPTORS
from pipeline.quality.measurement import APPEARANCE, FIELD, Measured
from pipeline.quality.measures import CATALOGUE, Measure, view_title
from pipeline.quality.radiomics_distance import frechet_radiomics_distance, standardised
from pipeline.quality.roc import auc
from pipeline.quality.samples_table import BY_STRUCTURE
from pipeline.quality.training_distance import TrainingDistance, copy_threshold
from pipeline.quality.two_sample import Told, two_sample_test
from pipeline.quality.variety import within_mask_diversity

REAL = "real unseen images"
FEW = 50
"""Images of a set below which its page says that they are few; at 50 a share moves in steps of 2 %."""


def fidelity_measures(
    extractor: str, features: Mapping[str, Tensor], *, foreign: str, settings, seed: int
) -> list[Measure]:
    """FID, KID, precision, density, recall and coverage in one extractor's features, float (N, D) by set.

    Sets compared with the reference are cut to one size, because FID and KID depend on it.

    Args:
        foreign: name of the foreign cohort. settings: section ``score`` of the parameters.
    """
    n = min(len(features[name]) for name in ("synthetic", "unseen", "foreign"))
    options = {"kid_subsets": settings.kid_subsets, "neighbours": settings.neighbours, "seed": seed}
    found, best, worst = (
        fidelity(features[name][:n], features["reference"], resamples=resamples, **options)
        for name, resamples in (("synthetic", settings.resamples), ("unseen", 0), ("foreign", 0))
    )
    measures = []
    for name, metric in found.items():
        ends = (best[name].value, REAL, worst[name].value, f"{foreign} images")
        interval = (metric.low, metric.high, metric.spread)
        measures.append(Measure(CATALOGUE[name][2], name, extractor, metric.value, n, *ends, *interval))
    return measures


def cautions(features: Mapping[str, Mapping[str, Tensor]]) -> list[str]:
    """What to keep in mind where sets are small; by extractor and set, float (N, D)."""
    n = min(len(features[extractors.DOMAIN][name]) for name in ("synthetic", "unseen", "foreign"))
    found = [
        f"FID in {view_title(name)} features is that of {n} images in {dimensions} dimensions, far above that of more "
        "images: read it between its best and its worst reference alone."
        for name, sets in features.items()
        if n <= (dimensions := sets["synthetic"].shape[1])
    ]
    if n < FEW:
        found.append(f"Sets of {n} images: KID, precision, recall, density and coverage are coarse below {FEW}.")
    return found


def two_sample_measures(
    sets: Mapping[str, tuple[np.ndarray, Sequence[str]]], degraded: Mapping[str, np.ndarray], seed: int
) -> list[Measure]:
    """How well a classifier of Lite0's features tells the set from unseen images; then degraded real images.

    Args:
        sets: features, float (N, D), and patients of ``synthetic``, ``unseen`` and ``reference``, N the same for all.
        degraded: by degradation, features of the images of the reference, which stand for real v real as they are.
    """
    unseen, patients = sets["unseen"]

    def told(features: np.ndarray, own: Sequence[str]) -> Told:
        return two_sample_test(unseen, features, patients, own, seed)

    floor, found = told(*sets["reference"]), told(*sets["synthetic"])
    ends = floor.auc, "real training images", 1.0, "every image told"
    asked = [("two_sample", extractors.LITE0, found)]
    asked += [("two_sample_reference", view, told(values, sets["reference"][1])) for view, values in degraded.items()]
    return [
        Measure(CATALOGUE[name][2], name, view, one.auc, one.n, *ends, one.low, one.high) for name, view, one in asked
    ]


def radiomics_measure(sets: Mapping[str, Measured], *, foreign: str, resamples: int, seed: int) -> Measure:
    """The Fréchet radiomics distance of equally many synthetic, unseen and foreign images from the reference."""
    n, reference = min(len(sets[name]) for name in ("synthetic", "unseen", "foreign")), sets["reference"].radiomics
    synthetic, unseen, away = (sets[name].radiomics[:n] for name in ("synthetic", "unseen", "foreign"))
    own, others = standardised(synthetic, reference)
    # Where the evaluation network finds no head in foreign images there is no worst reference.
    known = np.isfinite(away).all(axis=1).sum() > 1
    worst = frechet_radiomics_distance(away, reference) if known else None
    ends = (frechet_radiomics_distance(unseen, reference), REAL), (worst, f"{foreign} images")

    def distance(rows: np.ndarray) -> float:
        return frechet_distance(own[rows], others)

    return statistic_measure("radiomics", distance, len(own), seed, resamples, *ends)


def imprint_measure(synthetic: Measured, unseen: Measured, reference: Measured, seed: int) -> Measure:
    """Share of images with a rim along their mask; what is normal, the reference says."""
    own, real = (imprinted(measured.imprint, reference.imprint).astype(float) for measured in (synthetic, unseen))
    return mean_measure("imprint", own, seed, (real.mean(), REAL), (1.0, "every image"))


def agreement_measures(synthetic: Measured, unseen: Measured, structures: Sequence[str], seed: int) -> list[Measure]:
    """Agreement of the evaluation network with the masks, by structure.

    Between its agreement with the annotations of real images and that with the mask of another image.
    """
    measures = []
    for k, structure in enumerate(structures):
        for name, unit in (("dice", 1), ("boundary", 100)):
            sets = getattr(synthetic, name), getattr(unseen, name), getattr(synthetic, f"shuffled_{name}")
            own, best, worst = (unit * values[:, k] for values in sets)
            ends = (_mean(best), "the evaluation network on real images"), (_mean(worst), "the mask of another image")
            measures.append(mean_measure(name, own, seed, *ends, structure, spread=True))
    return measures


def privacy_measures(
    found: TrainingDistance, attack: tuple[np.ndarray, np.ndarray], resamples: int, seed: int
) -> list[Measure]:
    """Distance to training images, authenticity, copies and membership inference."""
    n, (scores, shown), copied = len(found.distance), attack, (0.0, "exact copies")

    def ratio(rows: np.ndarray) -> float:
        return np.median(found.distance[rows]) / np.median(found.unseen)

    def leak(rows: np.ndarray) -> float:
        return auc(scores[rows], shown[rows])

    known = (0.5, "no leak"), (1.0, "every training image known")
    return [
        statistic_measure("training_distance", ratio, n, seed, resamples, (1.0, REAL), copied),
        mean_measure("authenticity", found.authentic, seed, (_mean(found.authentic_unseen), REAL), copied),
        mean_measure("copies", found.copies, seed, (0.0, REAL), (1.0, "exact copies")),
        statistic_measure("membership", leak, len(scores), seed, resamples, *known),
    ]


def variety_measures(features: np.ndarray, masks: Sequence) -> list[Measure]:
    """Diversity of several images of one mask, in domain features; empty where no two images have one.

    Args:
        features: float (N, D). masks: N names, equal for equal masks.
    """
    ratio = within_mask_diversity(features, masks)
    ends = (1.0, "images of other masks", 0.0, "one image a mask")
    return [] if ratio is None else [Measure("coverage", "diversity", None, ratio, len(features), *ends)]


def compare_appearance(sets: Mapping[str, Measured]) -> dict:
    """Grey levels and speckle of ``synthetic`` and ``unseen`` beside the reference, by descriptor."""
    found = (sets[name] for name in ("synthetic", "unseen", "reference"))
    columns = (np.concatenate([one.field, one.appearance], axis=1).T for one in found)
    return {
        descriptor: distributions.compare({"synthetic": own, "unseen": unseen}, reference)
        for descriptor, own, unseen, reference in zip(FIELD + APPEARANCE, *columns, strict=True)
    }


def sample_rows(
    synthetic: Measured,
    unseen: Measured,
    reference: Measured,
    found: TrainingDistance,
    shown: Sequence[str],
    structures: Sequence[str],
    paired: bool = False,
) -> list[dict]:
    """The table of samples, one row an image, synthetic and unseen.

    Columns set, id, mask_agreement, boundary, nearest, distance, copy, imprint, imprinted, and shapes and appearance;
    of several structures also the mask agreement of each, and with a symphysis and a head aop_deg and aop_found_deg,
    the angles of progression of the mask and of the evaluation network's map.

    mask_agreement: Dice, mean over structures. boundary: % of the longer side. nearest: id of the closest image shown
    to the generator, at ``distance``. Shapes are those of the last structure (the head, where there are two),
    appearance that of the region of all structures; None where undefined.

    Args:
        shown: ids of the images that ``found`` counts neighbours among.
        structures: their names. paired: whether there is an angle between two of them.
    """
    table = []
    for name, measured, distance, nearest in (
        ("synthetic", synthetic, found.distance, found.nearest),
        ("unseen", unseen, found.unseen, found.nearest_unseen),
    ):
        columns = {
            "id": measured.ids,
            "mask_agreement": measured.dice.mean(axis=1),
            "boundary": 100 * measured.boundary.mean(axis=1),
            "nearest": np.array(shown)[nearest],
            "distance": distance.astype(float),
            "copy": distance < copy_threshold(found.unseen),
            "imprint": largest(measured.imprint),
            "imprinted": imprinted(measured.imprint, reference.imprint),
            **dict(zip(DESCRIPTORS, measured.shapes[:, -1].T, strict=True)),
            **dict(zip(APPEARANCE, measured.appearance.T, strict=True)),
        }
        if len(structures) > 1:
            each = zip(structures, measured.dice.T, strict=True)
            columns |= {f"{BY_STRUCTURE}{structure}": dice for structure, dice in each}
        if paired:
            columns |= {"aop_deg": measured.angle, "aop_found_deg": measured.found_angle}
        for row in zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True):
            known = (None if isinstance(value, float) and np.isnan(value) else value for value in row)
            table.append({"set": name, **dict(zip(columns, known, strict=True))})
    return table


def _mean(values: np.ndarray) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None
