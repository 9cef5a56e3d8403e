"""Stage sample: paired synthetic images and masks from a trained generator."""

import logging
from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import SCRATCH, Output

PARAMS = ("seed", "compute", "warp", "sample")
log = logging.getLogger("pipeline.sample")


def run(
    params, *, diffusion: Path, train: Path, masks: Path, labels: int, replicate: int, out: Output, variety: Output
) -> None:
    """Draw masks from the label subset, its shape model or a folder of masks, and generate one image for each.

    ``variety`` is a second, small set of several images of each of a few masks.
    Started by `torchrun`, the processes share the chunks; the result is the same.
    """
    from pipeline.data.dataset import read_dataset
    from pipeline.data.labels import label_subset
    from pipeline.data.structures import names
    from pipeline.data.writer import assemble_dataset
    from pipeline.decoding.decode import read_masks
    from pipeline.diffusion.backends import open_generator
    from pipeline.diffusion.masks import MaskSource
    from pipeline.diffusion.sampling import angles_of, sample_shards, variety_set
    from pipeline.run import files, processes, seeds
    from pipeline.run.compute import setup
    from pipeline.run.resume import Scratch
    from pipeline.tasks.segmentation.pair import pair_of

    device = setup(params.compute)
    settings = params.sample
    generator = open_generator(diffusion, device)
    dataset = read_dataset(train, splits=["train"])
    cases = label_subset(dataset, labels, replicate, params.seed)
    seed = seeds.derive(params.seed, "sample", labels, replicate)
    user = read_masks(masks, names(dataset.structures)) if settings.masks.user else ()
    drawn = settings.masks, params.warp, seed, user, names(dataset.structures), generator.cell
    pair = pair_of(dataset.structures)
    source = MaskSource(cases, dataset.n_structures, generator.image_size, *drawn, pair)
    inputs = [diffusion, train, *([masks] if settings.masks.user else [])]
    scratch = Scratch(SCRATCH, f"sample-n{labels}-r{replicate}", inputs, params.as_dict())
    sets = {out: (source, settings, seed), variety: variety_set(source, settings, seed)}
    shards = {
        path: sample_shards(generator, *asked, scratch.folder / f"set-{number}")
        for number, (path, asked) in enumerate(sets.items())
    }
    processes.wait_for_all(cpu=device.type == "cpu")
    if not processes.is_main():
        return
    trained_on = files.read_json(diffusion / "training.json", "train the diffusion model again")["trained_on"]
    origin = {"cohort": cases[0].cohort, "replicate": replicate, "unlabelled": trained_on["unlabelled"]}
    for path, (_, asked, _) in sets.items():
        about = {"role": "synthetic", "structures": dataset.structures, "labels": [case.id for case in cases]}
        provenance = {**origin, "sample": asked.model_dump(mode="json"), **angles_of(shards[path], cases, pair)}
        rows = assemble_dataset(path, shards[path], **about, provenance=provenance)
        if rows < asked.count:
            log.warning("%d of %d samples show no closed structure and are left out", asked.count - rows, asked.count)
    scratch.clear()


if __name__ == "__main__":
    main(run, PARAMS)
