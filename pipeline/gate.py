"""Stage gate: stop here when a synthetic set is not fit to be trained on."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("compute", "gate")


def run(params, *, filter: Path, synthetic: Path, train: Path, unlabelled: Path, page: Path, out: Output) -> None:
    """Hold a set against the limits under ``gate``, by its own labels alone, and write down the limits it kept to.

    The output holds no score: curation and training depend on it, and run again only when the limits change.
    ``page`` is the folder of the set's own page, made before anything is stopped, so that one can look; it is not read.
    """
    from pipeline.quality.selection.gate import broken_limits
    from pipeline.quality.selection.label_budget import LabelBudget
    from pipeline.run import files
    from pipeline.run.compute import setup
    from pipeline.run.errors import InputError

    limits = params.gate.model_dump(mode="json")
    if any(limit is not None for limit in limits.values()):
        budget = LabelBudget(filter, synthetic, train, unlabelled, setup(params.compute))
        if reasons := broken_limits(budget, params.gate):
            raise InputError(f"the synthetic set of {page / 'index.html'} is rejected: " + "; ".join(reasons))
    files.write_json(out, {"passed": limits})


if __name__ == "__main__":
    main(run, PARAMS)
