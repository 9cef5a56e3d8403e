"""One progress bar per run, in its main process, and an optional DVCLive loss curve."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.run.processes import is_main


class Progress:
    """Called with (step, loss) after every step; ``curves`` is called before, where there are other values, and
    ``image`` keeps a picture beside the loss curve."""

    def __init__(self, bar: tqdm, steps: int, logger):
        self._bar, self._steps, self._logger, self._smooth = bar, steps, logger, {}

    def __call__(self, step: int, loss: float) -> None:
        self.curves(step, {"loss": loss})
        self._bar.update()
        self._bar.set_postfix(loss=f"{self._smooth['loss']:.3f}", refresh=False)
        if self._logger and (step % 10 == 9 or step == self._steps - 1):
            self._logger.step = step + 1
            for name, value in self._smooth.items():
                self._logger.log_metric(name, value, timestamp=False)
            self._logger.make_summary()

    def curves(self, step: int, values: Mapping[str, float]) -> None:
        """Take in values of a step, each smoothed over some twenty steps."""
        for name, value in values.items():
            self._smooth[name] = value if name not in self._smooth else 0.95 * self._smooth[name] + 0.05 * value

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
