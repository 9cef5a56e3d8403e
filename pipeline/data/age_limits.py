"""Which ages a case may have; apart from what computes ages, so that `--help` of a command needs no numpy."""

DAYS = (1.0, 330.0)
