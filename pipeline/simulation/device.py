"""A simulated ultrasound device: resolution, gain, dynamic range and grey map."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipeline.simulation.acoustics import PointSpread, compounded_db, shadow_db
from pipeline.simulation.scan import PolarGrid
from pipeline.simulation.scene import Scene
from pipeline.simulation.texture import smooth_curve


@dataclass(frozen=True)
class Device:
    """One scanner with its presets. Ranges are (low, high), drawn per image.

    name: written to the dataset.
    sizes: frame sizes (width, height) in pixels that it exports.
    axial_mm, lateral_mm: standard deviations of the pulse, and of the beam in focus, at a field 120 mm wide.
    looks: independent views averaged by spatial compounding.
    sidelobe, ringdown: see ``PointSpread``.
    dynamic_range_db, gain_db: of the display; black is at ``gain - range`` below the skull's echo.
    gamma: exponent of the grey map; above 1 darkens mid greys.
    noise_db: receiver noise at 100 mm depth; it rises 0.25 dB per mm.
    compensation_db_per_mm: error of the time-gain compensation.
    edge_fade_db: loss at the outermost beams where the probe loses contact.
    smoothing: standard deviations (depth, beam samples) of the speckle reduction on the log image.
    haze_db: side-lobe and reverberation haze over the whole picture.
    shadow_db: depth of two shadows of gas or bone above the picture.
    skull_facing, skull_floor_db, skull_level_db, skull_gap_db, bone_db_per_mm: see ``SkullEcho``.
    overlay: what it burns in: "hc18", "text", "calipers" or "foreign" in the view of the head; "ticks", "text",
        "foreign" or "none" in the others.
    """

    name: str
    sizes: tuple[tuple[int, int], ...]
    axial_mm: tuple[float, float]
    lateral_mm: tuple[float, float]
    looks: int
    sidelobe: float
    ringdown: float
    dynamic_range_db: tuple[float, float]
    gain_db: tuple[float, float]
    gamma: tuple[float, float]
    noise_db: tuple[float, float]
    compensation_db_per_mm: tuple[float, float]
    edge_fade_db: tuple[float, float]
    haze_db: tuple[float, float]
    shadow_db: tuple[float, float]
    smoothing: tuple[float, float]
    skull_facing: tuple[float, float]
    skull_floor_db: tuple[float, float]
    skull_level_db: tuple[float, float]
    skull_gap_db: tuple[float, float]
    bone_db_per_mm: tuple[float, float]
    overlay: str


def log_image_db(scene: Scene, grid: PolarGrid, device: Device, rng: np.random.Generator) -> np.ndarray:
    """Log-compressed, speckle-reduced polar image in dB re a facing skull wall, float32 (n_depth, n_beam)."""
    n_beam = grid.shape[1]
    depth = grid.depth_mm.astype(np.float32)
    field_mm = (grid.radius_mm + grid.depth_mm.mean()) * (grid.angle_rad[-1] - grid.angle_rad[0])
    fineness = float(np.clip(field_mm / 120, 0.2, 3) ** 0.8)
    focus = rng.uniform(0.35, 0.65) * (depth[-1] - depth[0]) + depth[0]
    spread = np.sqrt(1 + ((depth - focus) / (0.6 * (depth[-1] - depth[0]))) ** 2)
    arc_mm = (grid.radius_mm + depth) * grid.step_rad
    psf = PointSpread(
        axial=rng.uniform(*device.axial_mm) * fineness / grid.step_mm,
        lateral=rng.uniform(*device.lateral_mm) * fineness * spread / np.maximum(arc_mm, 1e-3),
        ringdown=device.ringdown,
        ringdown_length=2.5 * fineness / grid.step_mm,
        sidelobe=device.sidelobe,
    )
    loss = shadow_db(scene.attenuation_db_per_mm, grid.step_mm, 26.0)
    across = np.linspace(-1, 1, n_beam)
    contact = 1.2 * smooth_curve(rng, n_beam, 0.06) + rng.uniform(*device.edge_fade_db) * across**6
    for _ in range(2):
        place, width = rng.uniform(-1, 1), rng.uniform(0.06, 0.25)
        contact += rng.uniform(*device.shadow_db) * np.exp(-(((across - place) / width) ** 2))
    if rng.random() < 0.5:
        contact = contact + rng.uniform(0, 8) * np.clip(rng.choice([-1, 1]) * across, 0, 1) ** 2
    drift = (depth - depth.mean()) * np.float32(rng.uniform(*device.compensation_db_per_mm))
    loss = loss + contact.astype(np.float32) + drift[:, None]
    # Refraction and the finite aperture blur the edges of shadows.
    loss = ndimage.gaussian_filter1d(loss, 1.2, axis=1, mode="nearest")
    transmitted = 10 ** (-loss / 20)
    noise_db = rng.uniform(*device.noise_db) + 0.25 * (depth - 100)
    diffuse = np.sqrt(10 ** (scene.backscatter_db / 10) * transmitted**2 + 10 ** (rng.uniform(*device.haze_db) / 10))
    level_db = compounded_db(diffuse, scene.specular * transmitted, psf, noise_db, device.looks, rng)
    return ndimage.gaussian_filter(level_db, device.smoothing, mode="nearest")


def grey_map(level_db: np.ndarray, device: Device, rng: np.random.Generator) -> np.ndarray:
    """Display grey, uint8, of a level in dB re a facing skull wall."""
    span = rng.uniform(*device.dynamic_range_db)
    shown = np.clip((level_db + rng.uniform(*device.gain_db) + span) / span, 0, 1)
    return (255 * shown ** rng.uniform(*device.gamma) + 0.5).astype(np.uint8)
