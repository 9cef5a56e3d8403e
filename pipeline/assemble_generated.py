"""Stage assemble_generated: what an arm with a generator adds to its labelled cases."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("seed", "arms")


def run(
    params, *, synthetic: Path, curated: Path, gate: Path, labels: int, replicate: int, arm: str, out: Output
) -> None:
    """Write samples of the set made with the arm's own labels.

    ``gate`` is there where the set may be trained on; where the set was rejected the gate stopped, and this waits.
    """
    from pipeline.arms.assembly import assemble_from_samples

    spec = params.arms[arm]
    assemble_from_samples(arm, spec, curated if spec.curated else synthetic, labels, replicate, params.seed, out)


if __name__ == "__main__":
    main(run, PARAMS)
