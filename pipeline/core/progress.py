"""One progress bar per process, and an optional DVCLive loss curve."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm


@contextmanager
def progress(name: str, steps: int, live: Path | None = None) -> Iterator[Callable[[int, float], None]]:
    """Yield ``tick(step, loss)``. With ``live``, every tenth loss also goes to a DVCLive folder there."""
    logger = _live(live) if live else None
    smooth = None
    with tqdm(total=steps, desc=name, mininterval=5, disable=None) as bar:

        def tick(step: int, loss: float) -> None:
            nonlocal smooth
            smooth = loss if smooth is None else 0.95 * smooth + 0.05 * loss
            bar.update()
            bar.set_postfix(loss=f"{smooth:.3f}", refresh=False)
            if logger and (step % 10 == 9 or step == steps - 1):
                logger.step = step + 1
                logger.log_metric("loss", smooth, timestamp=False)
                logger.make_summary()

        yield tick
    if logger:
        logger.end()


def _live(folder: Path):
    from dvclive import Live

    # dvcyaml=None: by default DVCLive edits the pipeline file.
    return Live(str(folder), resume=False, report=None, save_dvc_exp=False, dvcyaml=None, monitor_system=False)
