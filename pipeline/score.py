"""Stage score: what a synthetic set is worth, each number between its best and its worst reference."""

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
    evaluation_network: Path,
    out: Output,
    samples: Output,
) -> None:
    """Score fidelity, coverage, mask agreement and privacy of a synthetic set.

    The evaluation network only measures, and nothing that is written here decides anything: the gate and the curation
    judge a set by its own labels. The reference is the train split; unseen real images are those of val and test.
    """
    from pipeline.data.dataset import check_structures, open_dataset
    from pipeline.data.structures import from_json
    from pipeline.data.tables import write_table
    from pipeline.networks.small_unet import load_unet
    from pipeline.quality.scoring import score_set
    from pipeline.run import files
    from pipeline.run.compute import setup

    device = setup(params.compute)
    network, config = load_unet(evaluation_network, "evaluation_network", device)
    generated, away = open_dataset(synthetic), open_dataset(foreign)
    # Images without masks have no structures to confuse: the network's map stands for them.
    named = [foreign] if any(away.cases.column("mask_source")) else []
    for folder in (train, synthetic, variety, *named):
        check_structures(folder, from_json(config["structures"]), f"the evaluation network {evaluation_network}")
    # What the generator was shown: its labels, and the images without a label where it used them.
    others = open_dataset(unlabelled).cases.column("id") if generated.provenance["unlabelled"] else []
    real = {
        "reference": open_dataset(train, ["train"]),
        "unseen": open_dataset(train, ["val", "test"]),
        "foreign": away,
    }
    shown, several = {*generated.labels, *others}, list(open_dataset(variety).cases)
    report, table = score_set(params, generated, several, real, shown, network, config["image_size"], device)
    files.write_json(out, report)
    write_table(samples, table)


if __name__ == "__main__":
    main(run, PARAMS)
