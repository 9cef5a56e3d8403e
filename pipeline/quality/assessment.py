"""From what was measured of four sets of images to one record a number, each between its ends.

The sets: ``synthetic``, the one in question; ``reference``, the train split; ``unseen``, real images of patients
nothing was trained on, the best that could be expected; ``foreign``, images of another cohort, the far end.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from pipeline.quality.fidelity import fidelity
from pipeline.quality.frechet import frechet_distance
from pipeline.quality.imprint import imprinted
from pipeline.quality.intervals import mean_interval, statistic_interval
from pipeline.quality.measurement import APPEARANCE, Measured
from pipeline.quality.measures import Measure
from pipeline.quality.novelty import Novelty, membership_auc
from pipeline.quality.radiomics_distance import frechet_radiomics_distance, standardised
from pipeline.quality.shapes import spread, summary
from pipeline.quality.variety import within_mask_diversity, within_mask_ms_ssim

REAL = "real unseen images"
QUESTION_OF = {
    "fid": "fidelity",
    "kid": "fidelity",
    "precision": "fidelity",
    "density": "fidelity",
    "recall": "coverage",
    "coverage": "coverage",
}


def fidelity_measures(
    extractor: str,
    features: Mapping[str, Tensor],
    *,
    far: str,
    kid_subsets: int,
    neighbours: int,
    resamples: int,
    seed: int,
) -> list[Measure]:
    """FID, KID, precision, density, recall and coverage in one extractor's features, float (N, D) by set.

    Sets compared with the reference are cut to one size, because FID and KID depend on it.
    """
    n = min(len(features[name]) for name in ("synthetic", "unseen", "foreign"))
    options = {"kid_subsets": kid_subsets, "neighbours": neighbours, "seed": seed}
    own = fidelity(features["synthetic"][:n], features["reference"], resamples=resamples, **options)
    best, worst = (
        fidelity(features[name][:n], features["reference"], resamples=0, **options) for name in ("unseen", "foreign")
    )
    return [
        Measure(
            question=QUESTION_OF[name],
            name=name,
            view=extractor,
            value=metric.value,
            n=n,
            best=best[name].value,
            best_is=REAL,
            worst=worst[name].value,
            worst_is=f"{far} images",
            low=metric.low,
            high=metric.high,
            spread=metric.spread,
        )
        for name, metric in own.items()
    ]


def radiomics_measure(sets: Mapping[str, Measured], *, far: str, resamples: int, seed: int) -> Measure:
    """The Fréchet radiomics distance of equally many synthetic, unseen and foreign images from the reference."""
    n = min(len(sets[name]) for name in ("synthetic", "unseen", "foreign"))
    reference = sets["reference"].radiomics
    own, others = standardised(sets["synthetic"].radiomics[:n], reference)
    value, best = frechet_distance(own, others), frechet_radiomics_distance(sets["unseen"].radiomics[:n], reference)
    # Where the instrument finds no head in foreign images there is no far end.
    known = np.isfinite(sets["foreign"].radiomics[:n]).all(axis=1).sum() > 1
    worst = frechet_radiomics_distance(sets["foreign"].radiomics[:n], reference) if known else None
    low, high = statistic_interval(lambda rows: frechet_distance(own[rows], others), len(own), value, resamples, seed)
    return Measure("fidelity", "radiomics", None, value, n, best, REAL, worst, f"{far} images", low, high)


def imprint_measure(synthetic: Measured, unseen: Measured, reference: Measured, seed: int) -> Measure:
    """Share of images with a rim along their mask; what is normal, the reference says."""
    own, real = (imprinted(one.imprint, reference.imprint).astype(float) for one in (synthetic, unseen))
    low, high = mean_interval(own, seed)
    return Measure(
        "fidelity", "imprint", None, own.mean(), len(own), real.mean(), REAL, 1.0, "every image", low, high
    )  # fmt: skip


def obedience_measures(synthetic: Measured, unseen: Measured, structures: Sequence[str], seed: int) -> list[Measure]:
    """The instrument's agreement with the masks, between its agreement with annotations and with another's mask."""
    measures = []
    for k, structure in enumerate(structures):
        for name, unit in (("dice", 1), ("boundary", 100)):
            own, best, worst = (
                unit * values[:, k]
                for values in (
                    getattr(synthetic, name),
                    getattr(unseen, name),
                    getattr(synthetic, f"shuffled_{name}"),
                )
            )
            low, high = mean_interval(own, seed)
            measures.append(
                Measure(
                    question="obedience",
                    name=name,
                    view=structure,
                    value=_mean(own),
                    n=int(np.isfinite(own).sum()),
                    best=_mean(best),
                    best_is="the instrument on real images",
                    worst=_mean(worst),
                    worst_is="the mask of another image",
                    low=low,
                    high=high,
                    spread=float(np.nanstd(own)) if np.isfinite(own).any() else None,
                )
            )
    return measures


def privacy_measures(found: Novelty, attack: tuple[np.ndarray, np.ndarray], resamples: int, seed: int) -> list[Measure]:
    """Novelty ratio, authenticity, copies and membership inference."""
    n, unseen = len(found.distance), np.median(found.unseen)
    scores, shown = attack
    auc = membership_auc(scores, shown)
    intervals = {
        "novelty": statistic_interval(
            lambda rows: float(np.median(found.distance[rows]) / unseen), n, found.ratio, resamples, seed
        ),
        "authenticity": mean_interval(found.authentic.astype(float), seed),
        "copies": mean_interval(found.copies.astype(float), seed),
        "membership": statistic_interval(
            lambda rows: membership_auc(scores[rows], shown[rows]), len(scores), auc, resamples, seed
        ),
    }
    values = {
        "novelty": (found.ratio, n, 1.0, REAL, 0.0, "exact copies"),
        "authenticity": (found.authentic.mean(), n, found.authentic_unseen.mean(), REAL, 0.0, "exact copies"),
        "copies": (found.copies.mean(), n, 0.0, REAL, 1.0, "exact copies"),
        "membership": (auc, len(scores), 0.5, "no leak", 1.0, "every training image known"),
    }
    return [
        Measure("privacy", name, None, float(value), count, float(best), best_is, worst, worst_is, *intervals[name])
        for name, (value, count, best, best_is, worst, worst_is) in values.items()
    ]


def variety_measures(features: np.ndarray, images: Sequence[np.ndarray], groups: Sequence) -> list[Measure]:
    """Diversity of several images of one mask, in domain features, and from 192 pixels up their MS-SSIM.

    Empty where the generator drew the masks itself, and so no two images have one.
    """
    if len(set(groups)) in (1, len(groups)):
        return []
    ratio = within_mask_diversity(features, groups)
    ends = (1.0, "images of other masks", 0.0, "one image a mask")
    measures = [Measure("coverage", "diversity", None, ratio, len(images), *ends)]
    if (similarity := within_mask_ms_ssim(images, groups)) is not None:
        ends = (None, None, 1.0, "one image a mask")
        measures.append(Measure("coverage", "ms_ssim", None, similarity, len(images), *ends))
    return measures


def compare_appearance(sets: Mapping[str, Measured]) -> dict:
    """Grey levels and speckle: descriptor → set → mean, std and n, and the distance of ``synthetic`` and ``unseen``
    from the reference in its standard deviations (Wasserstein-1), as in :mod:`pipeline.quality.shapes`."""
    result = {}
    for i, descriptor in enumerate(APPEARANCE):
        columns = {name: sets[name].appearance[:, i] for name in ("reference", "synthetic", "unseen")}
        result[descriptor] = {
            name: spread(values, descriptor)
            if name == "reference"
            else summary(values, columns["reference"], descriptor)
            for name, values in columns.items()
        }
    return result


def _mean(values: np.ndarray) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None
