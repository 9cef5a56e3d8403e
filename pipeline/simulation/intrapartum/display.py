"""Burnt-in graphics of the devices of the intrapartum view."""

import numpy as np

from pipeline.simulation.overlay import burn_text, grey_bar, ruler
from pipeline.simulation.scan import Frame


def burn_in(image: np.ndarray, overlay: str, frame: Frame, rng: np.random.Generator) -> None:
    """Draw the graphics named by ``Device.overlay`` in place."""
    height, width = image.shape
    if overlay == "ticks":
        grey_bar(image, 5, 3, 5, 64)
        for column in range(int(rng.integers(4, 20)), width - 2, max(round(20 / frame.pixel_mm), 4)):
            image[height - 27 : height - 25, column] = 170
        ruler(image, width - 4, 50 / frame.pixel_mm, height * 0.4, 200)
    elif overlay == "text":
        grey_bar(image, width - 9, 6, 4, 70)
        burn_text(image, (f"{rng.integers(14, 30)}Hz", f"Gn {rng.integers(-8, 8)}", "C5-1"), 0.02, 0.02, 200, False)
        ruler(image, 2, 10 / frame.pixel_mm, 6, 150)
    elif overlay == "foreign":
        grey_bar(image, width - 9, 60, 7, 130)
        ruler(image, width - 16, 10 / frame.pixel_mm, 6, 255)
        burn_text(image, (f"G{rng.integers(40, 99)} D{rng.integers(10, 20)}cm", "FR 14"), 0.01, 0.01, 255, False)
