"""Stage finetune: SAM, promptless, on the training pool of one arm."""

from pathlib import Path

from pipeline.core.stage import SCRATCH, Output, main

PARAMS = ("seed", "compute", "warp", "segmenter", "augment", "arms")


def run(
    params,
    *,
    train: Path,
    synthetic: Path,
    curated: Path,
    labels: int,
    replicate: int,
    arm: str,
    out: Output,
    live: Path,
) -> None:
    """Fine-tune SAM on n real cases plus what the arm adds, for the same number of steps in every arm."""
    import torch

    from pipeline.comparison.arms import training_pool
    from pipeline.core import seeds
    from pipeline.core.compute import setup
    from pipeline.core.dataset import read_dataset
    from pipeline.core.errors import InputError
    from pipeline.core.labels import label_subset
    from pipeline.core.progress import progress
    from pipeline.core.resume import Scratch
    from pipeline.segmentation.checkpoint import build_segmenter, save_segmenter
    from pipeline.segmentation.training import fit

    device = setup(params.compute)
    if arm not in params.arms:
        raise InputError(f"no arm '{arm}' under arms; there are {', '.join(params.arms)}")
    settings, spec = params.segmenter, params.arms[arm]
    dataset = read_dataset(train, splits=["train"])
    cases = label_subset(dataset.cases, labels, replicate, params.seed)
    extra_path = curated if spec.curated else synthetic
    extra = read_dataset(extra_path).cases if spec.extra == "synthetic" else []
    seed = seeds.derive(params.seed, "finetune", labels, replicate)
    pool = training_pool(arm, spec, cases, extra, settings.image_size, params.warp, seed)
    # The same initial weights and the same order of random numbers in every arm of a replicate.
    torch.manual_seed(seed)
    network = build_segmenter(settings, dataset.n_structures)
    inputs = [train, *([extra_path] if extra else []), *([Path(settings.weights)] if settings.weights else [])]
    scratch = Scratch(SCRATCH, f"finetune-n{labels}-r{replicate}-{arm}", inputs, params.as_dict())
    with progress(f"finetune {arm} n={labels} r={replicate}", settings.steps, live) as tick:
        fit(
            network,
            pool.images,
            pool.masks,
            n_structures=dataset.n_structures,
            steps=settings.steps,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            warmup_steps=settings.warmup_steps,
            augmentation=params.augment,
            seed=seed,
            device=device,
            scratch=scratch,
            on_step=tick,
        )
    trained_on = {
        "cohort": cases[0].cohort,
        "arm": arm,
        "labels": [case.id for case in cases],
        "extra": spec.extra,
        "extra_cases": len(pool.images) - pool.real,
        "parameters": settings.model_dump(mode="json"),
    }
    save_segmenter(out, network, dataset.classes, trained_on)
    scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
