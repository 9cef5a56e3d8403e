"""The echo of a skull along its outline, and its loss."""

import numpy as np

from pipeline.simulation.outline import N_ANGLES
from pipeline.simulation.scene import SkullEcho
from pipeline.simulation.texture import smooth_curve


def add_skull(
    level: np.ndarray,
    specular: np.ndarray,
    attenuation: np.ndarray,
    outside_mm: np.ndarray,
    entry: np.ndarray,
    facing: np.ndarray,
    bone_mm: float,
    skull: SkullEcho,
    anatomy: np.random.Generator,
    rng: np.random.Generator,
) -> None:
    """Write the bone into the maps, in place: angle-dependent echo, sutures, loss."""
    gain_db = 1.5 * smooth_curve(anatomy, N_ANGLES, 0.012, True) + 3.0 * smooth_curve(rng, N_ANGLES, 0.045, True)
    position = np.arange(N_ANGLES) / N_ANGLES
    for _ in range(anatomy.integers(1, 4)):
        away = np.abs((position - anatomy.random() + 0.5) % 1 - 0.5)
        gain_db = gain_db - anatomy.uniform(4, 14) * np.exp(-((away / anatomy.uniform(0.006, 0.014)) ** 2))
    thickness = bone_mm * np.clip(1 + 0.3 * smooth_curve(anatomy, N_ANGLES, 0.04, True), 0.4, 1.0)
    for _ in range(3):  # Poor coupling or a bad angle takes out whole stretches of the wall, ends of the head first.
        away = np.abs((position - rng.choice([0.0, 0.5, rng.random()]) + rng.normal(0, 0.05) + 0.5) % 1 - 0.5)
        gain_db = gain_db - skull.gap_db * rng.uniform(0, 1) * np.exp(-((away / rng.uniform(0.02, 0.09)) ** 4))
    bone = (outside_mm <= 0) & (outside_mm >= -thickness[entry])
    floor = 10 ** (skull.floor_db / 20)
    turned = floor + (1 - floor) * facing[bone] ** skull.facing_power
    amplitude = turned * 10 ** ((skull.level_db + gain_db[entry[bone]]) / 20)
    specular[bone] = amplitude
    level[bone] = 20 * np.log10(amplitude) - 9
    attenuation[bone] = skull.attenuation_db_per_mm
