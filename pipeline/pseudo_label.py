"""Stage pseudo_label: train images without a label, with the filter's masks where its networks agree."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("compute", "pseudo", "diffusion")


def run(params, *, train: Path, filter: Path, out: Output) -> None:
    """Collect the train images beyond the filter's own labels; no mask of theirs is read.

    With ``diffusion.unlabelled`` pseudo_mask each gets the class map of the networks' mean probability at native
    resolution, or none where the mean Dice between the networks' own class maps is below ``pseudo.agreement``. With
    none the set is empty.
    """
    from dataclasses import replace
    from itertools import combinations

    import numpy as np

    from pipeline.data.dataset import read_images
    from pipeline.data.structures import from_json
    from pipeline.data.writer import write_dataset
    from pipeline.networks.weights import read_config

    wanted = params.diffusion.unlabelled
    calibration = read_config(filter, "filter")
    labels, structures = list(calibration["out_of_fold_dice"]), from_json(calibration["structures"])
    cases = []
    if wanted != "none":
        cases = [case for case in read_images(train, splits=["train"]) if case.id not in set(labels)]
    if wanted == "pseudo_mask":
        from pipeline.data.stacking import stack_images
        from pipeline.imaging.letterbox import Letterbox
        from pipeline.networks.small_unet import load_unet
        from pipeline.run.compute import setup
        from pipeline.tasks.segmentation.inference import class_map, dice, probabilities

        device = setup(params.compute)
        folds = [load_unet(filter, f"fold-{i}", device) for i in range(calibration["folds"])]
        for number, case in enumerate(cases):
            votes = []
            for network, config in folds:
                box = Letterbox.fit(case.image.shape, config["image_size"])
                (vote,) = probabilities(network, stack_images([case], config["image_size"]), device)
                votes.append(np.stack([box.restore(plane) for plane in vote]))
            maps = [class_map(vote) for vote in votes]
            agreement = np.mean([dice(a, b, len(structures)).mean() for a, b in combinations(maps, 2)])
            mask = class_map(np.mean(votes, axis=0))
            if agreement >= params.pseudo.agreement and mask.any():
                cases[number] = replace(case, mask=mask, mask_source="filter")
    write_dataset(out, cases, role="unlabelled", structures=structures, labels=labels)


if __name__ == "__main__":
    main(run, PARAMS)
