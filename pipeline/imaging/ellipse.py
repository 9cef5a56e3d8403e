"""The perimeter of an ellipse: what a head circumference is, by convention."""

import math


def ellipse_perimeter(a: float, b: float) -> float:
    """Perimeter of an ellipse with semi-axes a and b, by Ramanujan's second approximation (1914).

    Its relative error is below 1e-6 where the axes differ by less than a factor of three.
    """
    h = ((a - b) / (a + b)) ** 2
    return math.pi * (a + b) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))
