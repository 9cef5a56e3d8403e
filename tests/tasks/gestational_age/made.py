"""Cases whose age is a known function of their features, and the growth formula as published."""

import numpy as np

from pipeline.tasks.gestational_age.table import Inputs

NAMES = ("head.glcm.contrast", "head.glcm.energy", "head.shape.area", "head.shape.perimeter", "image.first_order.mean")


def intergrowth21_days(hc_mm):
    return np.exp(0.05970 * np.log(hc_mm) ** 2 + 6.409e-9 * hc_mm**3 + 3.3258)


def made(count=60, seed=0, tokens=4, channels=6, cases_each=1, signal=1.0):
    """Inputs and days: 30 days per standard deviation of the area, 10 of the first deep channel; noise of 1."""
    rng = np.random.default_rng(seed)
    radiomics = rng.normal(0, 1, (count, len(NAMES))) * (3, 1, 100, 10, 5) + (0, 5, 1000, 200, 80)
    deep = rng.normal(0, 1, (count, tokens, channels))
    area = (radiomics[:, 2] - 1000) / 100
    days = 170 + signal * (30 * area + 10 * deep[:, :, 0].mean(axis=1) * tokens**0.5) + rng.normal(0, 1, count)
    ids = tuple(f"case-{seed}-{number:03d}" for number in range(count))
    patients = tuple(f"patient-{seed}-{number // cases_each:03d}" for number in range(count))
    pixel_mm = np.clip(0.1 + 0.0005 * (days - 170) + rng.normal(0, 0.005, count), 0.01, None)
    inputs = Inputs(ids, patients, radiomics, NAMES, deep.astype(np.float16), pixel_mm, rng.uniform(800, 1500, count))
    return inputs, days
