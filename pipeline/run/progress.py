"""One progress bar per run, in its main process, and an optional DVCLive loss curve."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.run.processes import is_main


class Progress:
    """Called with (step, loss) after every step; ``image`` keeps a picture beside the loss curve."""

    def __init__(self, bar: tqdm, steps: int, logger):
        self._bar, self._steps, self._logger, self._smooth = bar, steps, logger, None

    def __call__(self, step: int, loss: float) -> None:
        self._smooth = loss if self._smooth is None else 0.95 * self._smooth + 0.05 * loss
        self._bar.update()
        self._bar.set_postfix(loss=f"{self._smooth:.3f}", refresh=False)
        if self._logger and (step % 10 == 9 or step == self._steps - 1):
            self._logger.step = step + 1
            self._logger.log_metric("loss", self._smooth, timestamp=False)
            self._logger.make_summary()

    def image(self, name: str, pixels: np.ndarray) -> None:
        """Keep an RGB uint8 (H, W, 3) picture under ``name``, in the place of an earlier one."""
        if self._logger:
            self._logger.log_image(name, pixels)


@contextmanager
def progress(name: str, steps: int, live: Path | None = None) -> Iterator[Progress]:
    """With ``live``, every tenth loss also goes to a DVCLive folder there. Only the main process shows or writes."""
    logger = None
    if live and is_main():
        from dvclive import Live

        # dvcyaml=None: by default DVCLive edits the pipeline file.
        logger = Live(str(live), resume=False, report=None, save_dvc_exp=False, dvcyaml=None, monitor_system=False)
    with tqdm(total=steps, desc=name, mininterval=5, disable=None if is_main() else True) as bar:
        yield Progress(bar, steps, logger)
    if logger:
        logger.end()
