"""The cervix on the polar grid: vaginal wall, bladder, lips and canal, waters and head, bowel behind."""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.bone import add_skull
from pipeline.simulation.cervix.anatomy import ANTERIOR, Cervix, Patient
from pipeline.simulation.ellipse import Ellipse
from pipeline.simulation.outline import Around, around
from pipeline.simulation.scan import PolarGrid
from pipeline.simulation.scene import FLUID_DB, Scene, SkullEcho, blend
from pipeline.simulation.texture import sample, smooth_noise

BONE_MM = 2.0


@dataclass
class _Maps:
    """The maps while they are drawn, positions, and the fields that all tissue shares.

    along, across: in the canal's coordinates, mm. coarse, broad, fibre: slow fields of zero mean and unit variance;
    ``fibre`` lies along the canal.
    """

    level: np.ndarray
    specular: np.ndarray
    attenuation: np.ndarray
    x: np.ndarray
    z: np.ndarray
    depth: np.ndarray
    along: np.ndarray
    across: np.ndarray
    coarse: np.ndarray
    broad: np.ndarray
    fibre: np.ndarray


def scene(
    grid: PolarGrid, patient: Patient, cervix: Cervix, head: Ellipse, skull: SkullEcho, rng: np.random.Generator
) -> Scene:
    """Everything the beam meets. ``rng`` belongs to the image; anatomy is drawn from the patient's own seed.

    Args:
        cervix, head: where they lie in this image.
    """
    anatomy = np.random.default_rng(np.random.SeedSequence(patient.entropy))
    to_head = around(grid, head.radius_mm(), head.pose)
    maps = _soft_tissue(grid, cervix, anatomy, rng)
    _bowel(maps, cervix, anatomy, rng)
    _uterus(maps, to_head, cervix, patient.waters_mm, anatomy)
    _bladder(maps, cervix, patient.bladder, anatomy)
    _lips(maps, cervix, anatomy, rng)
    _canal(maps, cervix, anatomy, rng)
    _head(maps, to_head, anatomy, rng)
    add_skull(
        maps.level, maps.specular, maps.attenuation,
        to_head.outside_mm, to_head.entry, to_head.facing, BONE_MM, skull, anatomy, rng,
    )  # fmt: skip
    return Scene(maps.level, maps.specular, maps.attenuation)


def _edge(outside_mm: np.ndarray, softness_mm: float) -> np.ndarray:
    """1 inside, 0 outside."""
    return 1 / (1 + np.exp(np.clip(outside_mm / np.float32(softness_mm), -30, 30)))


def _soft_tissue(grid: PolarGrid, cervix: Cervix, anatomy: np.random.Generator, rng: np.random.Generator) -> _Maps:
    """Vaginal wall under the probe, then loose tissue in layers; deeper tissue fades."""
    x, z = grid.positions_mm()
    along, across = (part.astype(np.float32) for part in cervix.canal.own_coordinates(x, z))
    depth = (grid.depth_mm.astype(np.float32)[:, None] + np.zeros_like(x)).astype(np.float32)
    coarse = sample(smooth_noise(rng, 3.0), x * np.float32(1.6), z * np.float32(1.6))
    broad = sample(smooth_noise(anatomy, 5.0), x * np.float32(0.5) + 11, z * np.float32(0.5))
    fibre = sample(smooth_noise(rng, 1.6), along * np.float32(0.55) + 40, across * np.float32(1.7) + 1.5 * coarse)
    arc = (grid.radius_mm + grid.depth_mm).astype(np.float32)[:, None] * grid.angle_rad.astype(np.float32)[None, :]
    layers = sample(smooth_noise(anatomy, 1.8), arc * np.float32(0.25), depth * np.float32(1.4) + 2.0 * coarse)
    level = np.float32(-35 + anatomy.normal(0, 1.5)) + 3.0 * broad + 1.5 * coarse + 3.0 * layers
    level = level - np.float32(anatomy.uniform(0.05, 0.25)) * np.maximum(depth - 30, 0)
    wall_mm = np.float32(anatomy.uniform(2.0, 4.5))
    level = blend(level, np.float32(anatomy.uniform(-27, -21)) + 2 * layers, np.exp(-((depth / wall_mm) ** 4)))
    specular = 10 ** (rng.uniform(-28, -18) / 20) * np.maximum(layers - 0.9, 0)
    attenuation = np.zeros_like(level)
    return _Maps(level, specular, attenuation, x, z, depth, along, across, coarse, broad, fibre)


def _bowel(maps: _Maps, cervix: Cervix, anatomy: np.random.Generator, rng: np.random.Generator) -> None:
    """Behind the posterior lip: a bright layer, and in some women gas in the rectum with a dirty shadow."""
    behind = cervix.lips[1].thickness_mm + np.float32(anatomy.uniform(3, 8))
    out = maps.across - behind - 1.2 * maps.broad
    layer = np.exp(-((out / np.float32(anatomy.uniform(2.5, 5))) ** 2))
    tone = np.float32(anatomy.uniform(-30, -23)) + 3 * maps.fibre
    maps.level = blend(maps.level, tone, layer * np.float32(anatomy.uniform(0.4, 0.9)))
    if anatomy.random() < 0.5:
        at, half = anatomy.uniform(-0.1, 0.7) * cervix.canal.length_mm, anatomy.uniform(5, 14)
        where = np.exp(-(((maps.along - np.float32(at)) / np.float32(half)) ** 4))
        line = np.exp(-(((out - np.float32(2.5)) / np.float32(0.8)) ** 2)) * where
        maps.specular = maps.specular + 10 ** (rng.uniform(-14, -6) / 20) * line * np.clip(1 + maps.coarse, 0, 2)
        maps.attenuation = maps.attenuation + np.float32(anatomy.uniform(2, 6)) * line


def _uterus(maps: _Maps, to_head: Around, cervix: Cervix, waters_mm: float, anatomy: np.random.Generator) -> None:
    """The waters around the head, and the wall of the lower segment around them."""
    # The waters are deepest at the internal os and thin out along the head.
    x, z = cervix.internal_os()
    away = np.hypot(maps.x - np.float32(x), maps.z - np.float32(z)) / np.float32(anatomy.uniform(14, 40))
    depth_mm = np.float32(waters_mm - 0.5) * (0.25 + 0.75 * np.exp(-(away**2))) + 0.4 * maps.broad
    out = to_head.outside_mm - np.maximum(depth_mm, 0.3)
    wall_mm = np.float32(anatomy.uniform(3, 7))
    wall = _edge(out - wall_mm, 0.6)
    maps.level = blend(maps.level, np.float32(anatomy.uniform(-36, -30)) + 2.5 * maps.coarse, wall)
    maps.specular = maps.specular * (1 - wall)
    waters = _edge(out, 0.4)
    maps.level = blend(maps.level, np.float32(FLUID_DB) + 6 * np.maximum(maps.coarse - 1, 0), waters)
    membrane = np.exp(-((out / np.float32(0.5)) ** 2)) * to_head.facing**2
    maps.specular = maps.specular + 10 ** (anatomy.uniform(-26, -14) / 20) * membrane
    maps.attenuation = maps.attenuation - np.float32(0.12) * waters


def _bladder(maps: _Maps, cervix: Cervix, filled: bool, anatomy: np.random.Generator) -> None:
    """Between probe and lower segment: black and lens-shaped where filled, with a bright wall."""
    size = anatomy.uniform((8, 2.5), (17, 6.5))
    clear = cervix.lips[0].thickness_mm + cervix.gap_mm + size[1] + anatomy.uniform(1.5, 4)
    at = (-(0.5 + anatomy.uniform(-0.15, 0.35)) * cervix.canal.length_mm, -clear)
    tilt = np.float32(anatomy.normal(0.1, 0.15))
    wall_db = anatomy.uniform(-27, -16)
    if not filled:
        return
    u = (maps.along - np.float32(at[0])) / np.float32(size[0])
    v = (maps.across - np.float32(at[1]) - tilt * (maps.along - np.float32(at[0]))) / np.float32(size[1])
    out = (np.hypot(u, v) - 1) * np.float32(size[1]) + 0.3 * maps.broad
    fluid = _edge(out, 0.35) * (maps.depth > 3)
    maps.level = blend(maps.level, np.float32(FLUID_DB), fluid)
    maps.specular = maps.specular * (1 - fluid)
    wall = np.exp(-(((out - np.float32(0.5)) / np.float32(0.35)) ** 2)) * (maps.depth > 3)
    maps.specular = maps.specular + 10 ** (wall_db / 20) * wall * np.clip(1 + 0.7 * maps.fibre, 0, 2)
    maps.attenuation = maps.attenuation - np.float32(0.15) * fluid


def _lips(maps: _Maps, cervix: Cervix, anatomy: np.random.Generator, rng: np.random.Generator) -> None:
    """Stroma of fine, even grain along the canal; its outer border is a thin line where it faces the beam."""
    contrast = anatomy.uniform(-3.5, 5.5)
    for lip in cervix.lips:
        half = np.float32(0.5 * lip.thickness_mm)
        out = (cervix.level(lip, maps.along, maps.across).astype(np.float32) - 1) * half
        inside = _edge(out + 0.25 * maps.coarse, 0.35)
        tone = np.float32(-32 + contrast + anatomy.normal(0, 1.2)) + 2.2 * maps.fibre + 1.6 * maps.broad
        maps.level = blend(maps.level, tone + 1.2 * maps.coarse, inside)
        echoes = np.maximum(maps.fibre + 0.5 * maps.coarse - 1.1, 0)
        maps.specular = blend(maps.specular, 10 ** (rng.uniform(-30, -20) / 20) * echoes, inside)
        maps.attenuation = blend(maps.attenuation, np.float32(anatomy.uniform(0.0, 0.12)), inside)
        rim = np.exp(-(((out - np.float32(0.3)) / np.float32(anatomy.uniform(0.4, 0.8))) ** 2))
        outer = _edge(-(lip.side * maps.across - half - np.float32(0.5 * cervix.gap_mm)), 1.0)
        rim_db = anatomy.uniform(-33, -20) if lip.side == ANTERIOR else anatomy.uniform(-35, -21)
        patches = np.clip(0.8 + 0.8 * maps.broad + 0.5 * maps.fibre, 0, 2)
        maps.specular = maps.specular + 10 ** (rim_db / 20) * rim * outer * patches


def _canal(maps: _Maps, cervix: Cervix, anatomy: np.random.Generator, rng: np.random.Generator) -> None:
    """A bright line or dark mucus in the middle of a darker band of glands; the funnel holds waters."""
    place = maps.along / np.float32(cervix.canal.length_mm) + np.float32(0.5)
    within = _edge(-place * 25, 1.0) * _edge((place - 1) * 25, 1.0)
    glands_mm = np.float32(anatomy.uniform(1.2, 3.2))
    band = np.exp(-((maps.across / glands_mm) ** 4)) * within
    tone = np.float32(anatomy.uniform(-45, -38)) + 2 * maps.fibre
    maps.level = blend(maps.level, tone, band * np.float32(anatomy.uniform(0.0, 0.8)))
    half = cervix.half_gap_mm(maps.along).astype(np.float32)
    lumen = _edge(np.abs(maps.across) - half, 0.25) * within
    maps.level = blend(maps.level, np.float32(anatomy.uniform(-52, -40)), lumen * np.float32(anatomy.uniform(0.3, 1)))
    wave = np.float32(0.35) * sample(smooth_noise(anatomy, 3.0), maps.along * np.float32(0.8), 0 * maps.along + 7)
    line = np.exp(-(((maps.across - wave) / np.float32(anatomy.uniform(0.25, 0.5))) ** 2)) * within
    broken = np.clip(1.0 + 0.9 * maps.fibre + 0.6 * maps.broad, 0, 2)
    maps.specular = maps.specular + 10 ** (anatomy.uniform(-26, -11) / 20) * line * broken
    if cervix.funnel_share:
        opened = np.clip(half - np.float32(0.5 * cervix.gap_mm), 0, None)
        fluid = _edge(np.abs(maps.across) - half, 0.3) * (opened > 0.3) * (place > -0.3) * (place < 1)
        maps.level, maps.specular = blend(maps.level, np.float32(FLUID_DB), fluid), maps.specular * (1 - fluid)


def _head(maps: _Maps, to_head: Around, anatomy: np.random.Generator, rng: np.random.Generator) -> None:
    """Dark brain behind the skull, with a veil of reverberation below it."""
    inner = to_head.outside_mm < -0.5 * BONE_MM
    rim = -to_head.outside_mm
    veil = np.float32(rng.uniform(-42, -33)) - rim * np.float32(rng.uniform(0.5, 1.4))
    brain = np.float32(anatomy.uniform(-52, -44)) + 3 * maps.broad
    level = 10 * np.log10(10 ** (brain / 10) + 10 ** (veil / 10))
    maps.level = np.where(inner, level, maps.level).astype(np.float32)
    maps.specular = np.where(inner, 0, maps.specular).astype(np.float32)
    maps.attenuation = np.where(inner, np.float32(-0.01), maps.attenuation).astype(np.float32)
