"""Stage finetune: a segmenter, promptless unless told otherwise, on the training pool of one arm."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import SCRATCH, Output

PARAMS = ("seed", "compute", "warp", "segmenters", "augment", "strong_augment", "arms")


def run(
    params,
    *,
    segmenter: str,
    base: Path,
    train: Path,
    synthetic: Path,
    curated: Path,
    generous: Path,
    embeddings: Path,
    synthetic_embeddings: Path,
    labels: int,
    replicate: int,
    arm: str,
    out: Output,
    metrics: Output,
    live: Path,
) -> None:
    """Fine-tune SAM or a U-Net on n real cases plus what the arm adds, for the same number of steps in every arm.

    SAM's frozen encoder never runs here but for what is derived from the labels: embeddings are read from disk.
    """
    from dataclasses import replace

    import torch

    from pipeline.arms.pool import training_pool
    from pipeline.data.dataset import open_dataset, read_dataset
    from pipeline.data.labels import label_subset
    from pipeline.data.stacking import stack_images, stack_masks
    from pipeline.learning.training import ImagePool, Recipe, fit, phases
    from pipeline.networks.parameters import count_parameters
    from pipeline.networks.segmenter import build_segmenter, save_segmenter
    from pipeline.run import files, processes, seeds
    from pipeline.run.cells import cell_name
    from pipeline.run.compute import check_precision, setup
    from pipeline.run.errors import InputError
    from pipeline.run.progress import progress
    from pipeline.run.resume import Scratch
    from pipeline.tasks.segmentation.inference import mean_dice

    device = setup(params.compute)
    settings = params.segmenter(segmenter)
    check_precision(f"segmenters.{segmenter}.mixed_precision", settings.mixed_precision, device)
    if arm not in params.arms:
        raise InputError(f"no arm '{arm}' under arms; there are {', '.join(params.arms)}")
    spec, size = params.arms[arm], settings.base.image_size
    if settings.frozen_encoder and spec.augment != "standard":
        raise InputError(f"arm '{arm}': stored embeddings have standard augmentation only; train '{segmenter}' lora")
    if settings.frozen_encoder and spec.generous:
        raise InputError(f"arm '{arm}': of generous samples no embeddings are stored; train '{segmenter}' lora")
    dataset = read_dataset(train, splits=["train", "val"] if spec.validated else ["train"])
    cases = label_subset(dataset.cases, labels, replicate, params.seed)
    extra_path = generous if spec.generous else curated if spec.curated else synthetic
    extra = open_dataset(extra_path).cases if spec.extra == "synthetic" else []
    seed = seeds.derive(params.seed, "finetune", labels, replicate)
    arm_pool = training_pool(arm, spec, cases, extra, size, params.warp, seed)
    # The same initial weights and the same order of random numbers in every arm of a replicate.
    torch.manual_seed(seed)
    labelled = torch.from_numpy(stack_images(cases, size))
    network = build_segmenter(base, settings, dataset.n_structures, labelled).to(device)
    inputs = [train, base, *([extra_path] if len(extra) else [])]
    cell = cell_name(segmenter, labels, replicate, arm)
    scratch = Scratch(SCRATCH, f"finetune-{cell}", inputs, params.as_dict(), processes.count())
    if settings.frozen_encoder:
        from pipeline.features.embeddings import embedding_pool

        stores = [embeddings / "pool", *([synthetic_embeddings] if len(extra) else [])]
        pool = embedding_pool(
            network, arm_pool, stores, base, settings.base.views, params.augment, params.seed, scratch
        )
    else:
        augmentation = params.augment if spec.augment == "standard" else params.strong_augment
        pool = ImagePool(*arm_pool.stacked(), augmentation)
    validation = dataset.split("val") if spec.validated else []
    seen = (stack_images(validation, size), stack_masks(validation, size)) if validation else ()
    taken = 0
    with progress(f"finetune {cell}", settings.steps, live) as tick:
        for name, part, steps in phases(pool, arm_pool.real, settings.steps, spec.pretrain):
            looks = validation and taken + steps == settings.steps
            fit(
                network,
                part,
                replace(Recipe.of(settings), steps=steps),
                n_structures=dataset.n_structures,
                seed=seed,
                device=device,
                scratch=scratch.part(name),
                validate=(lambda net: mean_dice(net, *seen, dataset.n_structures, device).mean()) if looks else None,
                on_step=lambda step, loss, before=taken: tick(before + step, loss),
            )
            taken += steps
    if not processes.is_main():
        return
    trained_on = {
        "cohort": cases[0].cohort,
        "arm": arm,
        "labels": [case.id for case in cases],
        "selected_on": [case.id for case in validation],
        "extra": spec.extra,
        "extra_cases": len(arm_pool) - arm_pool.real,
    }
    save_segmenter(
        out, network, dataset.structures, name=segmenter, base=base, settings=settings, trained_on=trained_on
    )
    files.write_json(metrics, {"labels": len(cases) + len(validation), **count_parameters(network)})
    scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
