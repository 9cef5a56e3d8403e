"""Stage train_evaluation_network: the fixed network that only measures, trained on patients reserved for it."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "compute", "evaluation_network", "augment")


def run(params, *, train: Path, out: Output) -> None:
    """Train the evaluation network on the split `evaluation` of the training cohort."""
    from pipeline.data.dataset import read_dataset
    from pipeline.learning.small_unet import train_small_unet
    from pipeline.networks.small_unet import save_unet
    from pipeline.run import seeds
    from pipeline.run.compute import setup
    from pipeline.run.progress import progress

    settings = params.evaluation_network
    dataset = read_dataset(train, splits=["evaluation"])
    with progress("evaluation network", settings.steps) as tick:
        network = train_small_unet(
            dataset.cases,
            settings,
            params.augment,
            key="evaluation_network",
            n_structures=dataset.n_structures,
            seed=seeds.derive(params.seed, "instrument"),
            device=setup(params.compute),
            on_step=tick,
        )
    trained_on = {
        "cohort": dataset.cases[0].cohort,
        "cases": [case.id for case in dataset.cases],
        "parameters": settings.model_dump(mode="json"),
    }
    save_unet(out, "evaluation_network", network, settings, dataset.structures, trained_on)


if __name__ == "__main__":
    main(run, PARAMS)
