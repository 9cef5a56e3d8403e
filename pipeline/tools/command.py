"""What the commands beside the stages share."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.run.errors import InputError
from pipeline.run.stage import prepare_environment

log = logging.getLogger("pipeline")


@contextmanager
def command_line(threads: int = 1) -> Iterator[None]:
    """Log to stderr, and turn bad input, or a file that cannot be read or written, into one line and exit status 2."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING, stream=sys.stderr)
    log.setLevel(logging.INFO)
    prepare_environment(threads)
    try:
        yield
    except (InputError, OSError) as error:
        log.error("%s", error)
        sys.exit(2)
