"""Stage generous: the synthetic set of the same replicate and the most labels, for arms that may draw from it."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("grid", "arms")


def run(params, *, curated: Path, replicate: int, out: Output) -> None:
    """A copy of that curated set, which DVC's cache holds once; a note where no arm of the grid asks for it.

    A stage of its own, so that cells of other arms do not depend on the larger generator. Curated sets that left the
    grid are removed.
    """
    import shutil

    from pipeline.run import files
    from pipeline.run.cells import cell_name, prune_cells

    grid = params.grid
    prune_cells(curated, [cell_name(n, r) for n in grid.labels for r in grid.replicates])
    if any(params.arms[arm].generous for arm in grid.arms):
        shutil.copytree(curated / cell_name(max(grid.labels), replicate), out, dirs_exist_ok=True)
    else:
        files.write_json(out / "not-needed.json", {"reason": "no arm of the grid is generous"})


if __name__ == "__main__":
    main(run, PARAMS)
