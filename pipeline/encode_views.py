"""Stage encode_views: what the generator of one label subset is trained on, encoded once."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import SCRATCH, Output

PARAMS = ("seed", "compute", "views")


def run(params, *, train: Path, unlabelled: Path, labels: int, replicate: int, out: Output) -> None:
    """Letter-box the n labelled cases of a replicate and, with ``views.unlabelled``, the images without a label.

    For the denoiser augmented views of them are made and encoded; the code is fitted to these images alone.
    """
    from pipeline.data.dataset import read_dataset, read_images
    from pipeline.data.labels import label_subset
    from pipeline.diffusion.codes.choice import fitted_code, weights_of
    from pipeline.diffusion.training_set import build_training_set
    from pipeline.diffusion.views import encode_views, fit_to_grid, save_views
    from pipeline.run import files, seeds
    from pipeline.run.compute import setup
    from pipeline.run.resume import Scratch

    device = setup(params.compute)
    settings = params.views
    dataset = read_dataset(train, splits=["train"])
    cases = label_subset(dataset, labels, replicate, params.seed)
    read = {"none": lambda path: [], "null_mask": read_images, "pseudo_mask": lambda path: read_dataset(path).cases}
    others = read[settings.unlabelled](unlabelled)
    data = build_training_set(cases, others, dataset.structures, settings.image_size)
    out.mkdir()
    pretrained: list[Path] = []
    if settings.kind == "encoded":
        data = fit_to_grid(data, [case.id for case in [*cases, *others]], settings.code.factor)
        pretrained = weights_of(settings.code)
        inputs = [train, *pretrained, *([unlabelled] if others else [])]
        scratch = Scratch(SCRATCH, f"views-n{labels}-r{replicate}", inputs, params.as_dict())
        seed = seeds.derive(params.seed, "views", labels, replicate)
        code = fitted_code(settings.code, data.images, data.sectors)
        views = encode_views(data, code, settings, seed, scratch.folder, params.compute.threads, device)
        save_views(views, out)
        scratch.clear()
    data.save(out)
    trained_on = {
        "cohort": cases[0].cohort,
        "data": files.digest([train]),
        "code": files.digest(pretrained) if pretrained else None,
        "labels": [case.id for case in cases],
        "unlabelled": len(others),
        "pseudo_masks": int(data.known[data.labelled :].sum()),
    }
    files.write_json(out / "trained_on.json", trained_on)


if __name__ == "__main__":
    main(run, PARAMS)
