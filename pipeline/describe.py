"""Stage describe: a page, a dataset card and Croissant metadata of a synthetic set, with the numbers it scored."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ()


def run(
    params,
    *,
    synthetic: Path,
    train: Path,
    quality: Path,
    usefulness: Path,
    samples: Path,
    out: Output,
    distributions: Output,
) -> None:
    """Write what people read before they use a set or share it, and its distributions for `dvc plots`."""
    from pipeline.data.dataset import open_dataset
    from pipeline.data.tables import write_table
    from pipeline.quality import samples_table
    from pipeline.quality.measures import read_measures
    from pipeline.quality.pages import page, set_card
    from pipeline.quality.pages.croissant import croissant
    from pipeline.run import files

    remedy = "run `dvc repro score`"
    scored = files.read_json(quality, remedy)
    measures = [*read_measures(quality, remedy), *read_measures(usefulness, "run `dvc repro usefulness`")]
    index = files.read_json(synthetic / "dataset.json", "run `dvc repro sample`")
    table = samples_table.read_samples(samples)
    shown = page.choose_samples(table, open_dataset(synthetic).cases, open_dataset(train, ["train"]).cases, samples)
    html = page.render(index, scored, measures, table, shown, files.digest([synthetic]))
    files.write_bytes(out / "index.html", html.encode())
    files.write_bytes(out / "README.md", set_card.set_card(index, scored["verdicts"], measures).encode())
    files.write_json(out / "croissant.json", croissant(index, synthetic, measures))
    for name, rows in samples_table.percentile_tables(table).items():
        write_table(distributions / f"{name}.csv", rows)


if __name__ == "__main__":
    main(run, PARAMS)
