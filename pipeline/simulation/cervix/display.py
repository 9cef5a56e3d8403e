"""Burnt-in graphics of the devices of the cervix view."""

import numpy as np

from pipeline.simulation.overlay import burn_text, grey_bar, ruler
from pipeline.simulation.scan import Frame


def burn_in(image: np.ndarray, overlay: str, frame: Frame, rng: np.random.Generator) -> None:
    """Draw the graphics named by ``Device.overlay`` in place."""
    width = image.shape[1]
    if overlay == "ticks":
        grey_bar(image, 6, 8, 5, 70)
        ruler(image, width - 5, 10 / frame.pixel_mm, -frame.top_mm / frame.pixel_mm, 190)
    elif overlay == "text":
        grey_bar(image, width - 10, 6, 5, 80)
        burn_text(image, (f"{rng.integers(14, 40)}Hz", f"Gn {rng.integers(-8, 8)}", "TV 5-9"), 0.02, 0.03, 200, False)
        ruler(image, 2, 10 / frame.pixel_mm, -frame.top_mm / frame.pixel_mm, 150)
    elif overlay == "foreign":
        grey_bar(image, width - 9, 60, 7, 130)
        ruler(image, width - 16, 10 / frame.pixel_mm, 6, 255)
        burn_text(image, (f"G{rng.integers(40, 99)} D{rng.integers(5, 9)}cm", "FR 14"), 0.01, 0.01, 255, False)
