"""Stage assemble_generous: what an arm adds whose generator and filter have seen more labels than its own."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "arms")


def run(params, *, curated: Path, gate: Path, labels: int, replicate: int, arm: str, out: Output) -> None:
    """Write samples of the curated set made with ``assemble.generous_labels`` labels; ``gate`` is that set's."""
    from pipeline.arms.assembly import assemble_from_samples

    assemble_from_samples(arm, params.arms[arm], curated, labels, replicate, params.seed, out)


if __name__ == "__main__":
    main(run, PARAMS)
