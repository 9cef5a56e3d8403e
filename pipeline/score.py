"""Stage score: what a synthetic set is worth, each number between its floor and its ceiling."""

from pathlib import Path

from pipeline.core.stage import Output, main

PARAMS = ("seed", "compute", "score")


def run(
    params,
    *,
    synthetic: Path,
    train: Path,
    foreign: Path,
    instrument: Path,
    out: Output,
    samples: Output,
) -> None:
    """Score fidelity, mask obedience and novelty of a synthetic set with the instrument network, and its masks' shapes.

    The reference of fidelity and shapes is the train split; unseen real images are those of val and test. Sets of
    images compared with the reference are cut to one size, because FID and KID depend on it; sets of masks are not.
    """
    import numpy as np
    import torch

    from pipeline.core import files
    from pipeline.core.compute import setup
    from pipeline.core.dataset import read_dataset, read_images
    from pipeline.core.geometry import stack_images, stack_masks, to_uint8
    from pipeline.core.permute import derangement
    from pipeline.core.tables import write_table
    from pipeline.quality.extractor import register_domain_extractor
    from pipeline.quality.fidelity import fidelity
    from pipeline.quality.novelty import novelty
    from pipeline.quality.shapes import compare_shapes, shapes_of
    from pipeline.segmentation.inference import class_map, dice, probabilities
    from pipeline.segmentation.unet import bottleneck, load_unet

    device = setup(params.compute)
    settings = params.score
    network, config = load_unet(instrument, "instrument", device)
    size = config["image_size"]
    generated = read_dataset(synthetic)
    real = read_dataset(train, splits=["train", "val", "test"])
    reference, unseen = real.split("train"), real.split("val", "test")
    stacks = {
        "reference": stack_images(reference, size),
        "real": stack_images(unseen, size),
        "synthetic": stack_images(generated.cases, size),
        "foreign": stack_images(read_images(foreign), size),
    }

    @torch.inference_mode()
    def raw_features(images: torch.Tensor) -> torch.Tensor:
        return torch.cat([bottleneck(network, part.to(device)).float().cpu() for part in images.split(64)])

    scale = raw_features(torch.from_numpy(stacks["reference"]))
    mean, std = scale.mean(dim=0), scale.std(dim=0) + 1e-6

    def features(images: torch.Tensor) -> torch.Tensor:
        # In units of the reference's spread: KID's polynomial kernel then sees distances of about one.
        return (raw_features(images) - mean) / std

    register_domain_extractor(features)
    m = min(len(stacks[name]) for name in ("real", "synthetic", "foreign"))
    weights = {"domain": None}
    if settings.inception_weights is not None:
        weights["inception"] = Path(settings.inception_weights)
    scores = {
        extractor: {
            name: fidelity(
                to_uint8(stacks[name][:m, 0]),
                to_uint8(stacks["reference"][:, 0]),
                kid_subsets=settings.kid_subsets,
                neighbours=settings.neighbours,
                seed=params.seed,
                inception_weights=path,
                cuda=device.type == "cuda",
            )
            for name in ("real", "synthetic", "foreign")
        }
        for extractor, path in weights.items()
    }

    def obedience(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
        maps = [class_map(p) for p in probabilities(network, images, device)]
        return np.array([dice(a, b, real.n_structures).mean() for a, b in zip(maps, masks, strict=True)])

    masks = stack_masks(generated.cases, size)
    obeyed = obedience(stacks["synthetic"], masks)
    disobeyed = obedience(stacks["synthetic"], masks[derangement(len(masks), params.seed, "score")])
    ceiling = obedience(stacks["real"], stack_masks(unseen, size))

    own_labels = [i for i, case in enumerate(reference) if case.id in set(generated.labels)]
    # A generator that was shown the other train images as well may have copied one of those.
    seen = range(len(reference)) if generated.provenance["unlabelled"] else own_labels
    found = novelty(
        *(
            features(torch.from_numpy(stack)).numpy()
            for stack in (stacks["synthetic"], stacks["reference"][seen], stacks["real"])
        )
    )
    shapes = {
        name: shapes_of(cases, size, real.n_structures)
        for name, cases in (
            ("synthetic", generated.cases),
            ("unseen", unseen),
            ("labels", [reference[i] for i in own_labels]),
        )
    }
    files.write_json(
        out,
        {
            "fidelity": scores,
            "obedience": {
                name: {"dice": float(values.mean()), "std": float(values.std()), "n": len(values)}
                for name, values in (("ceiling", ceiling), ("synthetic", obeyed), ("shuffled", disobeyed))
            },
            "novelty": {
                "ratio": found.ratio,
                "synthetic_median": float(np.median(found.synthetic)),
                "real_median": float(np.median(found.real)),
                "n": len(found.synthetic),
            },
            "masks": compare_shapes(
                shapes,
                shapes_of(reference, size, real.n_structures),
                [case.mask_source for case in generated.cases],
                real.classes[1:],
            ),
        },
    )
    write_table(
        samples,
        [
            {
                "id": case.id,
                "obedience": float(obeyed[i]),
                "nearest": reference[seen[found.nearest[i]]].id,
                "distance": float(found.synthetic[i]),
            }
            for i, case in enumerate(generated.cases)
        ],
    )


if __name__ == "__main__":
    main(run, PARAMS)
