"""Stage score: what a synthetic set is worth, each number between its floor and its ceiling."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "score")


def run(
    params,
    *,
    synthetic: Path,
    variety: Path,
    train: Path,
    unlabelled: Path,
    foreign: Path,
    instrument: Path,
    out: Output,
    samples: Output,
) -> None:
    """Score fidelity, coverage, mask obedience and privacy of a synthetic set.

    The instrument network only measures. The reference is the train split; unseen real images are those of val and
    test. Images are read case by case, and what is kept of each is about ten kilobytes.
    """
    import logging
    from dataclasses import asdict

    import numpy as np
    import torch

    from pipeline.data.case import pixel_hash
    from pipeline.data.dataset import open_dataset
    from pipeline.data.structures import names
    from pipeline.data.tables import write_table
    from pipeline.features.extractor import Images, extract, register_domain
    from pipeline.imaging.letterbox import letterbox
    from pipeline.networks.small_unet import bottleneck, load_unet
    from pipeline.quality import assessment, samples_table
    from pipeline.quality.measurement import measure
    from pipeline.quality.measures import as_json
    from pipeline.quality.novelty import membership, novelty
    from pipeline.quality.radiomics_distance import most_different
    from pipeline.quality.shapes import compare_shapes
    from pipeline.quality.verdicts import verdicts
    from pipeline.run import files
    from pipeline.run.compute import setup
    from pipeline.tasks.segmentation.inference import agreement, class_map, probabilities

    log = logging.getLogger("pipeline.score")
    device = setup(params.compute)
    settings = params.score
    network, config = load_unet(instrument, "instrument", device)
    generated, real = open_dataset(synthetic), open_dataset(train, ["train"])
    sets = {
        "synthetic": generated.cases,
        "reference": real.cases,
        "unseen": open_dataset(train, ["val", "test"]).cases,
        "foreign": open_dataset(foreign).cases,
    }
    size = max(generated.cases[0].image.shape)

    @torch.inference_mode()
    def features_of(images: torch.Tensor) -> torch.Tensor:
        return bottleneck(network, images.to(device)).float().cpu()

    register_domain(features_of)
    weights = {"domain": None} | {
        name: Path(path) for name, path in settings.extractors.model_dump().items() if path is not None
    }

    def extracted(cases, name: str, path: Path | None) -> torch.Tensor:
        edge = config["image_size"] if name == "domain" else size
        images = Images(cases, lambda case: letterbox(case.image, edge)[0])
        return extract(name, images, path, cuda=device.type == "cuda")

    measures, domain = [], {}
    for name, path in weights.items():
        log.info("features: %s", name)
        features = {which: extracted(cases, name, path) for which, cases in sets.items()}
        if name == "domain":
            # In units of the reference's spread: KID's polynomial kernel then sees distances of about one.
            mean, std = features["reference"].mean(dim=0), features["reference"].std(dim=0) + 1e-6
            features = {which: (values - mean) / std for which, values in features.items()}
            several = list(open_dataset(variety).cases)
            domain = (extracted(several, name, path) - mean) / std
        measures += assessment.fidelity_measures(
            name,
            features,
            far=foreign.name,
            kid_subsets=settings.kid_subsets,
            neighbours=settings.neighbours,
            resamples=settings.resamples,
            seed=params.seed,
        )
    log.info("texture, shapes, obedience")
    measured = {
        which: measure(
            cases,
            size=size,
            n_structures=real.n_structures,
            instrument_size=config["image_size"],
            segment=lambda images: np.stack([class_map(p) for p in probabilities(network, images, device)]),
            agreement=lambda a, b: agreement(a, b, real.n_structures),
            threads=params.compute.threads,
        )
        for which, cases in sets.items()
    }
    own, reference, unseen = (measured[which] for which in ("synthetic", "reference", "unseen"))
    log.info("novelty")
    labels = set(generated.labels)
    # What the generator was shown: its labels, and the images without a label where it used them.
    known = labels | (set(open_dataset(unlabelled).cases.column("id")) if generated.provenance["unlabelled"] else set())
    shown = [i for i, case_id in enumerate(reference.ids) if case_id in known]
    descriptors = reference.descriptors[shown]
    found = novelty(own.descriptors, descriptors, unseen.descriptors, [reference.patients[i] for i in shown])
    attack = membership(descriptors, unseen.descriptors, own.descriptors)
    measures += [
        assessment.radiomics_measure(measured, far=foreign.name, resamples=settings.resamples, seed=params.seed),
        assessment.imprint_measure(own, unseen, reference, params.seed),
        *assessment.variety_measures(
            domain.numpy(), [case.image for case in several], [pixel_hash(case.mask) for case in several]
        ),
        *assessment.obedience_measures(own, unseen, names(real.structures), params.seed),
        *assessment.privacy_measures(found, attack, settings.resamples, params.seed),
    ]
    files.write_json(
        out,
        {
            "set": {
                "n": len(own),
                "labels": len(labels),
                "unlabelled": generated.provenance["unlabelled"],
                "cohort": generated.provenance["cohort"],
                "foreign": foreign.name,
                "replicate": generated.provenance["replicate"],
                "image_size": size,
            },
            "measures": as_json(measures),
            "verdicts": {question: asdict(one) for question, one in verdicts(measures).items()},
            "radiomics": [
                {"feature": feature, "distance": float(f"{distance:.6g}")}
                for feature, distance in most_different(own.radiomics, reference.radiomics, 8)
            ],
            "masks": compare_shapes(
                {
                    "synthetic": own.shapes,
                    "unseen": unseen.shapes,
                    "labels": reference.shapes[[case_id in labels for case_id in reference.ids]],
                },
                reference.shapes,
                generated.cases.column("mask_source"),
                names(real.structures),
            ),
            "appearance": assessment.compare_appearance(measured),
        },
    )
    write_table(samples, samples_table.rows(own, unseen, reference, found, [reference.ids[i] for i in shown]))


if __name__ == "__main__":
    main(run, PARAMS)
