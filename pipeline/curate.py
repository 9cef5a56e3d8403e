"""Stage curate: keep the samples on which the filter networks agree with the conditioning mask."""

from pathlib import Path

from pipeline.core.stage import Output, main

PARAMS = ("compute", "curate")


def run(params, *, filter: Path, synthetic: Path, out: Output) -> None:
    """Drop samples below a quantile of the filter's out-of-fold Dice on its own labels."""
    import numpy as np

    from pipeline.core.compute import setup
    from pipeline.core.dataset import read_dataset
    from pipeline.core.dataset_writer import write_dataset
    from pipeline.core.errors import InputError
    from pipeline.core.geometry import stack_images, stack_masks
    from pipeline.core.weights import read_config
    from pipeline.segmentation.inference import class_map, dice, probabilities
    from pipeline.segmentation.unet import load_unet

    device = setup(params.compute)
    calibration = read_config(filter, "filter")
    threshold = float(np.quantile(list(calibration["out_of_fold_dice"].values()), params.curate.quantile))
    dataset = read_dataset(synthetic)
    scores = [0.0] * len(dataset.cases)
    for fold in range(calibration["folds"]):
        network, config = load_unet(filter, f"fold-{fold}", device)
        # Judged as the labels were: by the network that has not seen the patient whose mask the sample goes back to.
        own = [i for i, case in enumerate(dataset.cases) if calibration["fold_of_patient"][case.patient] == fold]
        cases = [dataset.cases[i] for i in own]
        if not cases:
            continue
        maps = probabilities(network, stack_images(cases, config["image_size"]), device)
        for i, vote, mask in zip(own, maps, stack_masks(cases, config["image_size"]), strict=True):
            scores[i] = float(dice(class_map(vote), mask, dataset.n_structures).mean())
    kept = [case for case, score in zip(dataset.cases, scores, strict=True) if score >= threshold]
    if not kept:
        raise InputError(
            f"{synthetic}: no sample reaches the filter's threshold of {threshold:.3f} Dice (best {max(scores):.3f}); "
            "train the diffusion model longer or lower curate.quantile"
        )
    write_dataset(
        out,
        kept,
        role="synthetic",
        classes=dataset.classes,
        labels=dataset.labels,
        provenance={**dataset.provenance, "curated": {"kept": len(kept), "of": len(scores), "threshold": threshold}},
    )


if __name__ == "__main__":
    main(run, PARAMS)
