"""When the loss without labels counts, and how much."""

import math


def ramped(step: int, steps: int, warmup: float, ramp: float) -> float:
    """Share of the full weight at a step: 0 in the warm-up, exp(-5 (1 - t)²) with t from 0 to 1 over the ramp, then 1
    (Laine & Aila, "Temporal Ensembling", ICLR 2017).

    Args:
        warmup, ramp: shares of ``steps``, one after the other, rounded to whole steps.
    """
    start, length = round(warmup * steps), round(ramp * steps)
    if step < start:
        return 0.0
    if step >= start + length:
        return 1.0
    return math.exp(-5 * (1 - (step - start) / length) ** 2)
