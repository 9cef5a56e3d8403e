"""Stage pseudo_label: train images without a label, with the filter's masks where its networks agree."""

from pathlib import Path

from pipeline.core.stage import Output, main

PARAMS = ("seed", "compute", "pseudo")


def run(params, *, train: Path, filter: Path, labels: int, replicate: int, out: Output) -> None:
    """Give every train image beyond the label subset a pseudo-mask, or none where the fold networks disagree.

    The masks of these images are not read. The pseudo-mask is the class map of the networks' mean probability at the
    native resolution; the agreement is the mean Dice between the networks' own class maps.
    """
    from dataclasses import replace
    from itertools import combinations

    import numpy as np

    from pipeline.core.compute import setup
    from pipeline.core.dataset import read_dataset, read_images, write_dataset
    from pipeline.core.geometry import Letterbox, stack_images
    from pipeline.core.labels import label_subset
    from pipeline.core.weights import read_config
    from pipeline.segmentation.inference import class_map, dice, probabilities
    from pipeline.segmentation.unet import load_unet

    device = setup(params.compute)
    dataset = read_dataset(train, splits=["train"])
    own = [case.id for case in label_subset(dataset.cases, labels, replicate, params.seed)]
    cases = [case for case in read_images(train, splits=["train"]) if case.id not in set(own)]
    folds = [load_unet(filter, f"fold-{i}", device) for i in range(read_config(filter, "filter")["folds"])]
    pseudo = []
    for case in cases:
        votes = []
        for network, config in folds:
            box = Letterbox.fit(case.image.shape, config["image_size"])
            (vote,) = probabilities(network, stack_images([case], config["image_size"]), device)
            votes.append(np.stack([box.restore(plane) for plane in vote]))
        maps = [class_map(vote) for vote in votes]
        agreement = np.mean([dice(a, b, dataset.n_structures).mean() for a, b in combinations(maps, 2)])
        mask = class_map(np.mean(votes, axis=0))
        if agreement < params.pseudo.agreement or not mask.any():
            mask = None
        pseudo.append(replace(case, mask=mask, mask_source=None if mask is None else "filter"))
    write_dataset(out, pseudo, role="unlabelled", classes=dataset.classes, labels=own)


if __name__ == "__main__":
    main(run, PARAMS)
