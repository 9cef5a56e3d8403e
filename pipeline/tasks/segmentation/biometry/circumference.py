"""Head circumference: the measurement a sonographer takes from the segmentation."""

import numpy as np

from pipeline.imaging.ellipse import ellipse_perimeter
from pipeline.imaging.moments import largest_component, semi_axes


def head_circumference_px(mask: np.ndarray) -> float:
    """Perimeter in pixels of the ellipse with the area moments of the largest connected component.

    Exact for an ellipse up to the pixel grid, and steady where the outline is ragged: HC18 defines its circumference by
    an ellipse too. 0 for an empty mask.

    Args:
        mask: bool [H, W].
    """
    if not mask.any():
        return 0.0
    return ellipse_perimeter(*semi_axes(largest_component(mask)))
