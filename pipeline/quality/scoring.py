"""The whole assessment of a synthetic set: everything that the stage `score` writes down of it."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch

from pipeline.data.case import Case, pixel_hash
from pipeline.data.dataset import Dataset, LazyCases
from pipeline.data.structures import names
from pipeline.features import extractors
from pipeline.features.extraction import Extractor, domain_extractor, extract
from pipeline.imaging.letterbox import letterbox
from pipeline.networks.small_unet import SmallUNet, bottleneck
from pipeline.quality import assessment
from pipeline.quality.angles import angle_measures
from pipeline.quality.degradations import degradations
from pipeline.quality.mask_shapes import compare_by_source, compare_shapes
from pipeline.quality.measurement import Measured, measure
from pipeline.quality.measures import Measure, as_json
from pipeline.quality.radiomics_distance import most_different
from pipeline.quality.spread import spread_measures
from pipeline.quality.training_distance import membership, training_distance
from pipeline.quality.verdicts import verdicts
from pipeline.run import seeds
from pipeline.tasks.metrics import PAIR
from pipeline.tasks.segmentation.inference import class_map, probabilities
from pipeline.tasks.segmentation.pair import pair_of

log = logging.getLogger("pipeline.score")
FEATURES_NAMED = 8


def score_set(
    params,
    generated: Dataset,
    several: Sequence[Case],
    real: Mapping[str, Dataset],
    shown: set[str],
    network: SmallUNet,
    network_size: int,
    device: torch.device,
) -> tuple[dict, list[dict]]:
    """Fidelity, coverage, mask agreement and privacy of a synthetic set, and its table of samples.

    Images are read case by case, and what is kept of each is about ten kilobytes.

    Args:
        params: sections seed, compute and score. several: images of which some have one mask.
        real: ``reference``, ``unseen`` and ``foreign``; see :mod:`pipeline.quality.assessment`.
        shown: ids of the images of the reference that the generator was shown.
        network: a fixed one that only measures, the evaluation network; its images have ``network_size`` pixels.
    """
    settings, seed = params.score, params.seed
    cases = {"synthetic": generated.cases} | {name: data.cases for name, data in real.items()}
    structures, foreign = names(real["reference"].structures), real["foreign"].path.name
    size = max(generated.cases[0].image.shape)
    features = {extractors.DOMAIN: _domain_features(cases | {"several": several}, network, network_size, device)}
    lite0 = None
    for name, opened in extractors.chosen(settings.extractors):
        extractor = opened(device)
        features[name] = _features(cases, extractor, size, device)
        lite0 = extractor if name == extractors.LITE0 else lite0
    measures = [
        measure
        for name, found in features.items()
        for measure in assessment.fidelity_measures(name, found, foreign=foreign, settings=settings, seed=seed)
    ]
    log.info("texture, shapes, mask agreement")

    def segment(images: np.ndarray) -> np.ndarray:
        return np.stack([class_map(p) for p in probabilities(network, images, device)])

    pair = pair_of(real["reference"].structures)
    options = {"n_structures": len(structures), "network_size": network_size, "threads": params.compute.threads}
    options["pair"] = pair
    measured = {name: measure(some, size=size, segment=segment, **options) for name, some in cases.items()}
    synthetic, reference, unseen = (measured[name] for name in ("synthetic", "reference", "unseen"))
    if lite0 is not None:
        log.info("classifier two-sample test")
        found = features[extractors.LITE0]
        measures += _two_sample(real["reference"].cases, found, lite0, measured, size, device, seed)
    log.info("distance to training images")
    places = [i for i, case_id in enumerate(reference.ids) if case_id in shown]
    descriptors, patients = reference.descriptors[places], [reference.patients[i] for i in places]
    found = training_distance(synthetic.descriptors, descriptors, unseen.descriptors, patients)
    attack = membership(descriptors, unseen.descriptors, synthetic.descriptors)
    repeated = [pixel_hash(case.mask) for case in several]
    measures += [
        assessment.radiomics_measure(measured, foreign=foreign, resamples=settings.resamples, seed=seed),
        assessment.imprint_measure(synthetic, unseen, reference, seed),
        *spread_measures(measured, assessment.REAL, settings.resamples, seed),
        *assessment.variety_measures(features[extractors.DOMAIN]["several"].numpy(), repeated),
        *assessment.agreement_measures(synthetic, unseen, structures, seed),
        *assessment.privacy_measures(found, attack, settings.resamples, seed),
    ]
    labels, sources = set(generated.labels), generated.cases.column("mask_source")
    own = np.array([case_id in labels for case_id in reference.ids])
    shapes = {"synthetic": synthetic.shapes, "unseen": unseen.shapes, "labels": reference.shapes[own]}
    masks = compare_shapes(shapes, reference.shapes, sources, structures)
    if pair is not None:
        measures += angle_measures(measured, own, assessment.REAL, settings.resamples, seed)
        angles = {"synthetic": synthetic.angle, "unseen": unseen.angle, "labels": reference.angle[own]}
        masks[PAIR] = {"aop": compare_by_source(angles, reference.angle, sources)}
    report = {
        "set": {
            "n": len(synthetic),
            "labels": len(labels),
            "foreign": foreign,
            "image_size": size,
            **{key: generated.provenance[key] for key in ("unlabelled", "cohort", "replicate")},
        },
        "measures": as_json(measures),
        "verdicts": verdicts(measures),
        "cautions": assessment.cautions(features),
        "radiomics": [
            {"feature": feature, "distance": float(f"{distance:.6g}")}
            for feature, distance in most_different(synthetic.radiomics, reference.radiomics, FEATURES_NAMED)
        ],
        "masks": masks,
        "appearance": assessment.compare_appearance(measured),
    }
    seen = [reference.ids[i] for i in places]
    return report, assessment.sample_rows(synthetic, unseen, reference, found, seen, structures, pair is not None)


def _domain_features(
    cases: Mapping[str, Sequence[Case]], network: SmallUNet, size: int, device: torch.device
) -> dict[str, torch.Tensor]:
    """Features of each set by the evaluation network, float (N, D).

    In units of the reference's spread: KID's polynomial kernel then sees distances of about one.
    """
    extractor = domain_extractor(partial(bottleneck, network))
    found = _features(cases, extractor, size, device)
    mean, std = found["reference"].mean(dim=0), found["reference"].std(dim=0) + 1e-6
    return {which: (values - mean) / std for which, values in found.items()}


def _features(
    cases: Mapping[str, Sequence[Case]], extractor: Extractor, size: int, device: torch.device
) -> dict[str, torch.Tensor]:
    """Features of each set's images letter-boxed to ``size`` pixels, float (N, D)."""
    boxed = {name: (letterbox(case.image, size)[0] for case in some) for name, some in cases.items()}
    return {name: extract(extractor, images, device) for name, images in boxed.items()}


def _two_sample(
    reference: LazyCases,
    features: Mapping[str, torch.Tensor],
    extractor: Extractor,
    measured: Mapping[str, Measured],
    size: int,
    device: torch.device,
    seed: int,
) -> list[Measure]:
    """The two-sample test on equally many images of each set, drawn by their ids."""
    names = ("synthetic", "unseen", "reference")
    count = min(len(measured[name]) for name in names)
    rows = {name: _drawn(measured[name].ids, count, seed) for name in names}
    sets = {
        name: (features[name].numpy()[rows[name]], [measured[name].patients[i] for i in rows[name]]) for name in names
    }
    ids = {measured["reference"].ids[i] for i in rows["reference"]}
    cases = reference.where(lambda row: row["id"] in ids)
    degraded = {
        view: extract(extractor, (letterbox(change(case.image, size), size)[0] for case in cases), device).numpy()
        for view, change in degradations(size).items()
    }
    return assessment.two_sample_measures(sets, degraded, seed)


def _drawn(ids: Sequence[str], count: int, seed: int) -> list[int]:
    """Rows of ``count`` images in their order, whatever it is the same images."""
    chosen = set(sorted(ids, key=lambda one: seeds.derive(seed, "two-sample images", one))[:count])
    return [i for i, one in enumerate(ids) if one in chosen]
