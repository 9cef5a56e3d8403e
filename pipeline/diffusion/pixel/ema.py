"""Exponential moving averages of weights, on diffusers' EMAModel."""

import numpy as np
from diffusers.training_utils import EMAModel

from pipeline.config.diffusion import Ema


class PowerEMA(EMAModel):
    """Power-function averaging (Karras et al. 2024, arXiv 2312.02696, eq. 1): β_t = (1 - 1/t)^(γ + 1).

    The average reaches back over a fixed share of the training so far, whatever its length.

    Args:
        width: σ_rel, the standard deviation of that profile as a share of the training time.
    """

    def __init__(self, parameters, width: float):
        super().__init__(parameters)
        self.gamma = power_exponent(width)

    def get_decay(self, optimization_step: int) -> float:
        self.cur_decay_value = (1 - 1 / max(1, optimization_step)) ** (self.gamma + 1)
        return self.cur_decay_value


def power_exponent(width: float) -> float:
    """γ of a relative width σ_rel (arXiv 2312.02696, appendix C, eq. 126): the largest real root of a cubic."""
    t = width**-2
    return float(np.roots([1, 7, 16 - t, 12 - t]).real.max())


def build_ema(parameters, params: Ema) -> EMAModel:
    """``power`` as above; ``warmup``: β_t = min(decay, 1 - (1 + t)^(-2/3))."""
    parameters = list(parameters)
    if params.profile == "power":
        return PowerEMA(parameters, params.width)
    return EMAModel(parameters, decay=params.decay, use_ema_warmup=True, inv_gamma=1.0, power=2 / 3)
