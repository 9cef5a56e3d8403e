"""What is known of ultrasound images and heads, as one table: what lies outside is refused, or warned of."""

import math
from typing import NamedTuple

from pipeline.data.age_limits import DAYS


class Bound(NamedTuple):
    """refuse, warn: (lowest, highest) value that is not refused, or not warned of. remedy: what to look at."""

    quantity: str
    unit: str
    refuse: tuple[float, float]
    warn: tuple[float, float]
    remedy: str


SIZE = "give the edge of a pixel of this very file in mm; a resized image has another one"
CIRCUMFERENCE = "give it in mm (not cm or m), and the pixel size of this very file"
AGE = "give days since the last menstrual period (not weeks), of this very case"
MASK = "look at the mask: is it the structure, and of this image?"
BOUNDS = {
    one.quantity: one
    for one in (
        Bound("shorter side", "px", (8, math.inf), (64, math.inf), "export the image at its own size"),
        Bound("longer side against the shorter", "times", (1, 10), (1, 3), "look at the image: is it a whole one?"),
        Bound("number of grey levels", "", (2, math.inf), (16, math.inf), "look at the image: is it one, and no mask?"),
        Bound("pixel size", "mm", (0.005, 2), (0.02, 1), SIZE),
        Bound("published circumference", "mm", (20, 600), (40, 420), CIRCUMFERENCE),
        Bound("measured circumference", "mm", (20, 600), (40, 420), CIRCUMFERENCE),
        Bound("measured circumference against the published one", "%", (-10, 10), (-2, 2), SIZE),
        Bound("measured circumference of a cut head against the published one", "%", (-50, 10), (-10, 2), SIZE),
        Bound("gestational age", "days", DAYS, (63, 308), AGE),
        Bound("published circumference against that of its age", "%", (-50, 100), (-20, 20), AGE),
        Bound("share of the image", "%", (0, 98), (0.1, 90), MASK),
        Bound("shorter axis of the head against the longer", "times", (0.1, 1), (0.5, 1), MASK),
    )
}
"""Of HC18 (400 cases), Spanish (48), African (25) and PSFHS (445) none is refused or warned of."""
PIXEL_SIZES_AGREE = 0.01
"""How far the size of a pixel that is given may be from what its file says, relative to that."""
