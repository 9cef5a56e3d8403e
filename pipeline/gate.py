"""Stage gate: stop here when a synthetic set is not fit to be trained on."""

from pathlib import Path

from pipeline.config.stage import main
from pipeline.run.stage import Output

PARAMS = ("gate",)


def run(params, *, quality: Path, page: Path, out: Output) -> None:
    """Hold the scores of a set against the limits under ``gate`` and write those it kept to.

    The output holds no score: curation and training depend on it, and run again only when the limits change.
    ``page`` is the folder of the set's own page, made before anything is stopped, so that one can look.
    """
    from pipeline.quality.gate import broken_limits
    from pipeline.quality.measures import read_measures
    from pipeline.run import files
    from pipeline.run.errors import InputError

    reasons = broken_limits(read_measures(quality, "run `dvc repro score`"), params.gate)
    if reasons:
        raise InputError(f"the synthetic set of {page / 'index.html'} is rejected: " + "; ".join(reasons))
    files.write_json(out, {"passed": params.gate.model_dump(mode="json")})


if __name__ == "__main__":
    main(run, PARAMS)
