"""The intrapartum scene on the polar grid: perineal tissue, symphysis, bladder, fetal head, tissue behind the head."""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.bone import add_skull
from pipeline.simulation.ellipse import Ellipse
from pipeline.simulation.intrapartum.anatomy import Patient, inferior_end
from pipeline.simulation.outline import N_ANGLES, Around, around
from pipeline.simulation.scan import PolarGrid
from pipeline.simulation.scene import FLUID_DB, Scene, SkullEcho, blend, stroke
from pipeline.simulation.texture import sample, smooth_curve, smooth_noise

BONE_MM = 3.2


@dataclass
class _Maps:
    """The maps while they are drawn, and the fields that all tissue shares.

    coarse, broad, streak: slow fields of zero mean and unit variance; ``streak`` lies along the probe's face.
    """

    level: np.ndarray
    specular: np.ndarray
    attenuation: np.ndarray
    x: np.ndarray
    z: np.ndarray
    depth: np.ndarray
    coarse: np.ndarray
    broad: np.ndarray
    streak: np.ndarray


def scene(
    grid: PolarGrid, patient: Patient, symphysis: Ellipse, head: Ellipse, skull: SkullEcho, rng: np.random.Generator
) -> Scene:
    """Everything the beam meets. ``rng`` belongs to the image; anatomy is drawn from the patient's own seed.

    Args:
        symphysis, head: where they lie in this image.
    """
    anatomy = np.random.default_rng(np.random.SeedSequence(patient.entropy))
    to_head = around(grid, head.radius_mm(), head.pose)
    to_symphysis = around(grid, symphysis.radius_mm(), symphysis.pose)
    maps = _soft_tissue(grid, anatomy, rng)
    _behind_the_head(maps, to_head, head, symphysis, anatomy, rng)
    _scalp(maps, to_head, head, symphysis, patient.caput_mm, anatomy)
    _passages(maps, to_head, symphysis, patient.bladder, anatomy)
    _inside_the_head(maps, to_head, head, anatomy, rng)
    _symphysis(maps, to_symphysis, symphysis, anatomy, rng)
    add_skull(
        maps.level, maps.specular, maps.attenuation,
        to_head.outside_mm, to_head.entry, to_head.facing, BONE_MM, skull, anatomy, rng,
    )  # fmt: skip
    return Scene(maps.level, maps.specular, maps.attenuation)


def _soft_tissue(grid: PolarGrid, anatomy: np.random.Generator, rng: np.random.Generator) -> _Maps:
    """Skin, fat and muscle in layers below the probe; deeper tissue fades, the outer beams lose contact."""
    x, z = grid.positions_mm()
    depth = (grid.depth_mm.astype(np.float32)[:, None] + np.zeros_like(x)).astype(np.float32)
    coarse = sample(smooth_noise(rng, 4.0), x * np.float32(1.1), z * np.float32(1.1))
    broad = sample(smooth_noise(anatomy, 5.0), x * np.float32(0.3) + 11, z * np.float32(0.3))
    arc = (grid.radius_mm + grid.depth_mm).astype(np.float32)[:, None] * grid.angle_rad.astype(np.float32)[None, :]
    streak = sample(smooth_noise(rng, 1.6), arc * np.float32(0.3), depth * np.float32(1.3) + 2.5 * coarse)
    near = np.exp(-(((depth - 20) / np.float32(anatomy.uniform(26, 42))) ** 2))
    level = -40 + anatomy.normal(0, 2) + anatomy.uniform(12, 18) * near + 3.5 * broad + 1.5 * coarse + 4.0 * streak
    level = level - np.float32(anatomy.uniform(0.02, 0.12)) * np.maximum(depth - 60, 0)
    specular = 10 ** (rng.uniform(-27, -17) / 20) * np.maximum(streak - 0.9, 0) * (0.2 + near)
    skin_mm = anatomy.uniform(1.5, 3.5)
    level = blend(level, np.float32(-26), np.exp(-((depth / np.float32(skin_mm)) ** 4)))
    # Beside the symphysis the pubic bone shades the outer beams of the mother's front, here and there the others.
    share = np.linspace(-1, 1, grid.shape[1], dtype=np.float32)[None, :]
    front = np.float32(rng.uniform(0, 22)) / (1 + np.exp((share + np.float32(rng.uniform(0.35, 0.75))) * 9))
    shade_db = front + 2.5 * np.maximum(smooth_curve(rng, grid.shape[1], 0.05)[None, :], 0)
    attenuation = np.float32(1 / 25) * shade_db * ((depth > 15) & (depth < 40))
    return _Maps(level, specular, attenuation, x, z, depth, coarse, broad, streak)


def _behind_the_head(
    maps: _Maps,
    to_head: Around,
    head: Ellipse,
    symphysis: Ellipse,
    anatomy: np.random.Generator,
    rng: np.random.Generator,
) -> None:
    """The bright, layered band between the head and the mother's back, and what lies beyond it."""
    out = to_head.outside_mm
    bearing = np.arctan2(maps.z - head.centre_mm[1], maps.x - head.centre_mm[0])
    where = np.float32(anatomy.uniform(-0.5, 0.15))
    side = 1 / (1 + np.exp(np.clip(-6 * (np.cos(bearing - where) - np.float32(anatomy.uniform(0.1, 0.55))), -30, 30)))
    thick = np.float32(anatomy.uniform(9, 26)) * (1 + 0.25 * maps.coarse)
    band = side * np.exp(-(np.clip((out - 2) / np.maximum(thick, 3), 0, 5) ** 3)) * (out > 0)
    layers = sample(smooth_noise(rng, 2.0), bearing * 28 + 5, out * np.float32(1.4) + 1.5 * maps.coarse)
    tone = np.float32(anatomy.uniform(-27, -17))
    maps.level = blend(maps.level, tone + 4.5 * layers + 1.5 * maps.coarse, band * np.float32(anatomy.uniform(0.5, 1)))
    maps.specular = maps.specular + 10 ** (rng.uniform(-22, -10) / 20) * band * np.maximum(layers - 0.8, 0)
    # Gas in the rectum: a thin bright line, and nothing behind it.
    if anatomy.random() < 0.4:
        gas = np.exp(-(((out - thick - 2) / np.float32(1.2)) ** 2)) * np.clip(2 * maps.broad + layers, 0, 1) * side
        maps.specular = maps.specular + 0.15 * gas * np.clip(1 + maps.streak, 0, 2)
        maps.attenuation = maps.attenuation + np.float32(2.0) * gas
    # The sacrum and the cavity behind the head: bright patches below it.
    below = np.exp(-(((out - np.float32(anatomy.uniform(2, 9))) / 5) ** 2)) * np.clip(np.sin(bearing), 0, 1) ** 4
    patches = np.maximum(maps.coarse + 0.6 * maps.broad - 0.2, 0)
    maps.specular = maps.specular + 10 ** (anatomy.uniform(-24, -10) / 20) * below * patches


def _scalp(
    maps: _Maps,
    to_head: Around,
    head: Ellipse,
    symphysis: Ellipse,
    caput_mm: float,
    anatomy: np.random.Generator,
) -> None:
    """Scalp all round, swollen over the leading part, and the bright line of the birth canal's wall on it."""
    axis = symphysis.rotation_rad + np.float32(anatomy.normal(-0.6, 0.35))
    bearing = np.arctan2(maps.z - head.centre_mm[1], maps.x - head.centre_mm[0])
    leading = np.clip(np.cos(bearing - axis), 0, 1) ** 2
    thick = 1.2 + np.float32(caput_mm) * leading
    out = to_head.outside_mm
    scalp = ((out > 0) & (out < thick)).astype(np.float32)
    maps.level = blend(maps.level, np.float32(anatomy.uniform(-34, -25)) + 1.5 * maps.coarse + maps.streak, 0.8 * scalp)
    line = np.exp(-(((out - thick) / np.float32(0.7)) ** 2)) * to_head.facing**4
    maps.specular = maps.specular + 10 ** (anatomy.uniform(-26, -9) / 20) * line * np.clip(1 + maps.coarse, 0, 2)


def _passages(maps: _Maps, to_head: Around, symphysis: Ellipse, bladder: bool, anatomy: np.random.Generator) -> None:
    """Urethra and vagina as dark slits from the probe towards the head, and the bladder behind the symphysis."""
    x0, z0 = inferior_end(symphysis)
    out = to_head.outside_mm
    for _ in range(2):
        at = (np.float32(x0 + anatomy.uniform(1, 22)), np.float32(z0 + anatomy.uniform(-6, 14)))
        tilt, half = anatomy.uniform(-0.35, 0.5), np.float32(anatomy.uniform(4, 13))
        slit = stroke(maps.x, maps.z, at, half, np.float32(anatomy.uniform(0.8, 2.2)), tilt, anatomy.normal(0, 0.008))
        maps.level = blend(
            maps.level, np.float32(anatomy.uniform(-54, -42)), slit * anatomy.uniform(0.3, 1) * (out > 1)
        )
    along, across = symphysis.pose.own_coordinates(maps.x, maps.z)
    place = (anatomy.uniform(-0.9, 0.2) * symphysis.long_mm, symphysis.short_mm + anatomy.uniform(7, 16))
    size = (anatomy.uniform(7, 15), anatomy.uniform(3, 7))
    if bladder:
        form = ((along - place[0]) / size[0]) ** 2 + ((across - place[1]) / size[1]) ** 2 + 0.1 * maps.coarse
        fluid = 1 / (1 + np.exp(np.clip(8 * (form - 1), -30, 30))) * np.clip(out / 2 - 0.5, 0, 1)
        maps.level = blend(maps.level, np.float32(FLUID_DB), fluid)
        maps.specular = maps.specular * (1 - fluid)
        maps.attenuation = maps.attenuation - np.float32(0.16) * fluid


def _inside_the_head(
    maps: _Maps, to_head: Around, head: Ellipse, anatomy: np.random.Generator, rng: np.random.Generator
) -> None:
    """Dark brain with a cloud of short echoes in the middle, a midline in some, reverberation below the skull."""
    inner = to_head.outside_mm < -0.5 * BONE_MM
    u, v = to_head.along / np.float32(head.long_mm), to_head.across / np.float32(head.short_mm)
    turn = anatomy.normal(0, 0.5)
    u, v = u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)
    # Gyri and vessels shine where they lie across the beam: short arcs, not blobs.
    arcs = sample(smooth_noise(anatomy, 1.6), 13 * u + 6 * v + 9, 44 * v - 20 * u + 3 + 2 * maps.coarse)
    dots = sample(smooth_noise(rng, 1.5), maps.x * np.float32(0.55) + maps.coarse, maps.z * np.float32(1.3))
    lumps = sample(smooth_noise(anatomy, 3.0), 22 * u + 50, 24 * v + 17)
    central = np.exp(-(((u - anatomy.normal(0, 0.15)) / 0.65) ** 4) - ((v - anatomy.normal(-0.05, 0.2)) / 0.5) ** 2)
    level = (
        np.float32(anatomy.uniform(-52, -44)) + 3 * lumps + 1.5 * arcs + np.float32(anatomy.uniform(3, 13)) * central
    )
    shine = central * (np.maximum(dots + 0.5 * lumps - 0.8, 0) + 0.5 * np.maximum(arcs - 0.9, 0))
    specular = 10 ** (anatomy.uniform(-36, -19) / 20) * shine
    if anatomy.random() < 0.4:
        midline = stroke(u, v, (anatomy.normal(0, 0.1), anatomy.normal(0, 0.12)), anatomy.uniform(0.2, 0.6), 0.025,
                         anatomy.normal(0, 0.15), anatomy.normal(0, 0.15))  # fmt: skip
        specular = specular + 10 ** (anatomy.uniform(-32, -17) / 20) * midline * np.clip(dots + lumps, 0, 2)
    rim = -to_head.outside_mm
    veil = np.float32(rng.uniform(-42, -31)) - rim * np.float32(rng.uniform(0.5, 1.4))
    level = 10 * np.log10(10 ** (level / 10) + 10 ** (veil / 10))
    maps.level, maps.specular = np.where(inner, level, maps.level), np.where(inner, specular, maps.specular)
    maps.attenuation = np.where(inner, np.float32(-0.01), maps.attenuation)
    maps.level, maps.specular = maps.level.astype(np.float32), maps.specular.astype(np.float32)


def _symphysis(
    maps: _Maps, to_symphysis: Around, symphysis: Ellipse, anatomy: np.random.Generator, rng: np.random.Generator
) -> None:
    """A thin bright capsule around a darker disc with a brighter core; it shadows what is below it."""
    out = to_symphysis.outside_mm
    u, v = to_symphysis.along / np.float32(symphysis.long_mm), to_symphysis.across / np.float32(symphysis.short_mm)
    fibre = sample(smooth_noise(anatomy, 1.6), 9 * u + 4, 13 * v + 8)
    lumps = sample(smooth_noise(anatomy, 2.5), 12 * u + 40, 9 * v + 60)
    inside = 1 / (1 + np.exp(np.clip((out + 0.8 * lumps) / 0.7, -30, 30)))
    core_at, core_size = anatomy.normal((0.05, 0.1), (0.2, 0.2)), anatomy.uniform((0.45, 0.3), (0.75, 0.6))
    core = np.exp(-(((u - core_at[0]) / core_size[0]) ** 4) - ((v - core_at[1]) / core_size[1]) ** 2)
    tone = np.float32(anatomy.uniform(-34, -26)) + np.float32(anatomy.uniform(0, 10)) * core + 3 * fibre + 2 * lumps
    maps.level = blend(maps.level, tone, inside)
    maps.specular = maps.specular * (1 - inside)
    echoes = core * np.maximum(fibre + 0.4 * lumps - 0.7, 0)
    maps.specular = maps.specular + 10 ** (anatomy.uniform(-24, -8) / 20) * inside * echoes
    # The capsule: bright where it faces the beam, hardly seen elsewhere, never closed.
    gain_db = 6.0 * smooth_curve(anatomy, N_ANGLES, 0.05, True)[to_symphysis.entry] - 16 * (1 - to_symphysis.facing)
    capsule = np.exp(-(((out + 0.8 + 0.5 * lumps) / np.float32(anatomy.uniform(0.6, 1.3))) ** 2))
    maps.specular = maps.specular + 10 ** ((np.float32(anatomy.uniform(-25, -11)) + gain_db) / 20) * capsule
    maps.attenuation = blend(maps.attenuation, np.float32(rng.uniform(0.2, 1.0)), inside)
    maps.level, maps.specular = maps.level.astype(np.float32), maps.specular.astype(np.float32)
    maps.attenuation = maps.attenuation.astype(np.float32)
