"""How many cases an arm adds."""

from pipeline.config.arms import Arm
from pipeline.run.errors import InputError


def extra_count(name: str, arm: Arm, labels: int) -> int:
    """``round(ratio * labels)``.

    Raises:
        InputError: that is less than one case, though the arm wants some.
    """
    count = round(arm.ratio * labels)
    if arm.extra != "none" and count == 0:
        raise InputError(f"arm '{name}': ratio {arm.ratio:g} of {labels} labels is not one case; raise the ratio")
    return count
