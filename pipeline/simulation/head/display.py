"""Burnt-in graphics of each simulated device, on top of the grey image."""

import numpy as np

from pipeline.simulation.head.contour import HeadContour
from pipeline.simulation.outline import Pose
from pipeline.simulation.overlay import black_box, burn_text, calipers, dotted_curve, grey_bar, ruler
from pipeline.simulation.scan import Frame


def burn_in(
    image: np.ndarray, overlay: str, frame: Frame, contour: HeadContour, pose: Pose, rng: np.random.Generator
) -> None:
    """Draw the graphics named by ``Device.overlay`` in place."""
    if overlay == "hc18":
        _hc18_like(image, rng)
    elif overlay == "text":
        _text_heavy(image, frame, rng)
    elif overlay == "calipers":
        _low_cost(image, frame, contour, pose, rng)
    else:
        _foreign(image, frame, rng)


def _hc18_like(image: np.ndarray, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        notch = rng.uniform(0.86, 0.95)
        black_box(image, notch, 0, 1, rng.uniform(0.1, 0.22))
    black_box(image, 1 - rng.uniform(0.2, 0.27), 0.82, 1, 0.97)
    burn_text(image, ("Phantom", "A"), 0.11, 0.04, 26, align_right=False)
    grey_bar(image, 1, 10, 3, 72)


def _text_heavy(image: np.ndarray, frame: Frame, rng: np.random.Generator) -> None:
    if rng.random() < 0.7:
        preset = str(rng.choice(["2. Trim.", "2+3.Trim.", "3. Trim."]))
        harmonic = str(rng.choice(["Har-mid", "Har-high", "Har-low"]))
        lines = (preset, harmonic, "97", f"Gn {rng.integers(-10, 5)}", "C6 / M7", "FF2 / E3", "SRI II 3 / CRI 2")
        burn_text(image, lines, 0.995, 0.0, 215)
        burn_text(image, ("Simulated", "  B8"), 0.04, 0.03, 150, align_right=False)
        grey_bar(image, 1, 10, 3, 75)
        ruler(image, 5, 10 / frame.pixel_mm, 4, 170)
    else:
        of = int(rng.integers(30, 220))
        burn_text(image, (f"{rng.integers(1, of)}/{of}", f"{rng.integers(18, 30)}Hz"), 0.99, 0.02, 250)
        grey_bar(image, 0, 8, 16, 30)


def _low_cost(image: np.ndarray, frame: Frame, contour: HeadContour, pose: Pose, rng: np.random.Generator) -> None:
    if rng.random() < 0.45:
        # People place calipers by eye: a millimetre or so off the edge.
        axes = np.array([0, np.pi / 2, np.pi, -np.pi / 2])
        grey = int(rng.integers(150, 256))
        calipers(image, _to_pixels(axes, 1.0, frame, contour, pose) + rng.normal(0, 1.2, (4, 2)), grey, 2)
        if rng.random() < 0.5:
            around = np.arange(0, 2 * np.pi, 4 * frame.pixel_mm / contour.half_length_mm)
            dotted_curve(image, _to_pixels(around, rng.normal(1.0, 0.015), frame, contour, pose), grey * 2 // 3)
    if rng.random() < 0.4:
        burn_text(image, (str(rng.choice(["M", "U", "..."])),), rng.uniform(0.15, 0.85), 0.0, 230, align_right=False)


def _foreign(image: np.ndarray, frame: Frame, rng: np.random.Generator) -> None:
    grey_bar(image, image.shape[1] - 9, 60, 7, 130)
    ruler(image, image.shape[1] - 16, 10 / frame.pixel_mm, 6, 255)
    burn_text(image, ("OB 3.5M", f"G{rng.integers(40, 99)} D{rng.integers(10, 20)}cm", "FR 14"), 0.01, 0.01, 255, False)


def _to_pixels(angle_rad: np.ndarray, scale: float, frame: Frame, contour: HeadContour, pose: Pose) -> np.ndarray:
    """Points of the scaled skull contour as (column, row), (n, 2)."""
    radius = contour.radius_at(angle_rad) * scale
    direction = angle_rad + pose.rotation_rad
    x = pose.centre_x_mm + radius * np.cos(direction)
    z = pose.centre_z_mm + radius * np.sin(direction)
    return np.stack([(x - frame.left_mm) / frame.pixel_mm - 0.5, (z - frame.top_mm) / frame.pixel_mm - 0.5], axis=1)
