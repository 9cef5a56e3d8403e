"""Stage finetune: SAM, promptless unless told otherwise, on the training pool of one arm."""

from pathlib import Path

from pipeline.core.stage import SCRATCH, Output, main

PARAMS = ("seed", "compute", "warp", "sam", "segmenter", "augment", "arms")


def run(
    params,
    *,
    base: Path,
    train: Path,
    synthetic: Path,
    curated: Path,
    embeddings: Path,
    synthetic_embeddings: Path,
    labels: int,
    replicate: int,
    arm: str,
    out: Output,
    metrics: Output,
    live: Path,
) -> None:
    """Fine-tune SAM on n real cases plus what the arm adds, for the same number of steps in every arm.

    With ``segmenter.train`` decoder the encoder never runs here but for warped copies: embeddings are read from disk.
    """
    import torch

    from pipeline.comparison.arms import training_pool
    from pipeline.core import files, processes, seeds
    from pipeline.core.compute import check_precision, setup
    from pipeline.core.dataset import open_dataset, read_dataset
    from pipeline.core.errors import InputError
    from pipeline.core.geometry import stack_images, stack_masks
    from pipeline.core.labels import label_subset
    from pipeline.core.progress import progress
    from pipeline.core.resume import Scratch
    from pipeline.segmentation.checkpoint import build_segmenter, save_segmenter
    from pipeline.segmentation.inference import mean_dice
    from pipeline.segmentation.training import ImagePool, Recipe, fit
    from pipeline.segmentation.tuning import count_parameters

    device = setup(params.compute)
    check_precision("segmenter.mixed_precision", params.segmenter.mixed_precision, device)
    if arm not in params.arms:
        raise InputError(f"no arm '{arm}' under arms; there are {', '.join(params.arms)}")
    settings, spec, size = params.segmenter, params.arms[arm], params.sam.image_size
    dataset = read_dataset(train, splits=["train", "val"] if spec.validated else ["train"])
    cases = label_subset(dataset.cases, labels, replicate, params.seed)
    extra_path = curated if spec.curated else synthetic
    extra = open_dataset(extra_path).cases if spec.extra == "synthetic" else []
    seed = seeds.derive(params.seed, "finetune", labels, replicate)
    arm_pool = training_pool(arm, spec, cases, extra, size, params.warp, seed)
    # The same initial weights and the same order of random numbers in every arm of a replicate.
    torch.manual_seed(seed)
    network = build_segmenter(base, params.sam, settings, dataset.n_structures).to(device)
    inputs = [train, base, *([extra_path] if len(extra) else [])]
    scratch = Scratch(SCRATCH, f"finetune-n{labels}-r{replicate}-{arm}", inputs, params.as_dict(), processes.count())
    if settings.train == "decoder":
        from pipeline.segmentation.embeddings import embedding_pool

        stores = [embeddings / "pool", *([synthetic_embeddings] if len(extra) else [])]
        pool = embedding_pool(network, arm_pool, stores, base, settings.views, params.augment, params.seed, scratch)
    else:
        pool = ImagePool(*arm_pool.stacked(), params.augment)
    validation = dataset.split("val") if spec.validated else []
    seen = (stack_images(validation, size), stack_masks(validation, size)) if validation else ()
    with progress(f"finetune {arm} n={labels} r={replicate}", settings.steps, live) as tick:
        fit(
            network,
            pool,
            Recipe.of(settings),
            n_structures=dataset.n_structures,
            seed=seed,
            device=device,
            scratch=scratch,
            validate=(lambda net: mean_dice(net, *seen, dataset.n_structures, device).mean()) if validation else None,
            on_step=tick,
        )
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
        out, network, dataset.classes, base_folder=base, base=params.sam, settings=settings, trained_on=trained_on
    )
    files.write_json(metrics, {"labels": len(cases) + len(validation), **count_parameters(network)})
    scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
