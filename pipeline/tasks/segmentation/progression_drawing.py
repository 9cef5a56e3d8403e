"""The angle of progression, drawn on an image: axis, tangent, arc, shortest distance, number."""

import math

import numpy as np

from pipeline.tasks.segmentation.biometry.progression import Progression

AXIS, TANGENT, DISTANCE, TEXT = (120, 255, 120), (255, 80, 160), (200, 200, 255), (255, 255, 255)


def draw_progression(picture: np.ndarray, progression: Progression, enlarged: float = 1.0) -> np.ndarray:
    """RGB uint8 (H, W, 3), the picture with the measurement drawn on it, or with the name of its failure.

    Args:
        picture: RGB uint8 (H, W, 3). enlarged: how many of its pixels are one of those that were measured.
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(picture)
    draw, width = ImageDraw.Draw(image), max(1, round(len(picture) / 256))

    def line(colour, *points):
        # Whole numbers are the centres of pixels, of the enlarged ones too.
        draw.line([tuple((point + 0.5) * enlarged - 0.5) for point in points], fill=colour, width=width)

    if progression.axis is not None:
        line(AXIS, progression.axis.superior, progression.axis.inferior)
    if progression.failure is None:
        corner = progression.axis.inferior
        line(DISTANCE, corner, progression.nearest)
        line(TANGENT, corner, angle_corners(progression)[-1])
        line(TEXT, *_arc(progression, 0.6 * progression.axis.length_px))
    text = progression.failure or f"AoP {progression.aop_deg:.1f}°  HSD {progression.hsd_px:.1f} px"
    font = ImageFont.load_default(size=max(10, len(picture) / 22))
    draw.text((2 * width, 2 * width), str(text), fill=TEXT, font=font, stroke_width=width, stroke_fill=(0, 0, 0))
    return np.asarray(image)


def angle_corners(progression: Progression) -> tuple[np.ndarray, ...]:
    """The angle's two sides as (x, y) in pixels: superior and inferior end of the symphysis, end of the tangent.

    Whole numbers are the centres of pixels. Nothing where there is no angle.
    """
    if progression.failure is not None:
        return ()
    axis = progression.axis
    # A little beyond where it touches.
    return axis.superior, axis.inferior, axis.inferior + 1.15 * (progression.tangent - axis.inferior)


def _arc(progression: Progression, radius: float) -> list[np.ndarray]:
    """Points of the arc from the axis to the tangent."""
    axis, reach = progression.axis, progression.tangent - progression.axis.inferior
    # The side on which the angle is measured is that of the head: the one that leads to the tangent.
    turn, x, y = math.radians(progression.aop_deg), *axis.direction
    sides = [np.array([y, -x]), np.array([-y, x])]
    ends = [math.cos(turn) * axis.direction + math.sin(turn) * side for side in sides]
    side = sides[int(np.argmax([end @ reach for end in ends]))]
    turns = np.linspace(0, turn, 40)
    return [axis.inferior + radius * (math.cos(t) * axis.direction + math.sin(t) * side) for t in turns]
