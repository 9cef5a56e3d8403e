"""The command line of a stage that reads ``params.yaml``."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.run import stage


def main(run: Callable, sections: Sequence[str], argv: Sequence[str] | None = None) -> None:
    """Run a stage with the parameter sections it declares, and no other; see :func:`pipeline.run.stage.main`."""

    def read(path: Path):
        from pipeline.config.params import View, load_params

        config = load_params(path)
        return View(config, sections), config.compute.threads

    stage.main(run, read, argv)
