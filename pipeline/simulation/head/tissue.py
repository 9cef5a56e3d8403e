"""The scene on the polar grid: abdominal wall, uterus, placenta, amniotic fluid, fetal body, skull and brain."""

import numpy as np

from pipeline.simulation.bone import add_skull
from pipeline.simulation.head.brain import brain_echo
from pipeline.simulation.head.patient import Patient
from pipeline.simulation.outline import Pose, around
from pipeline.simulation.scan import PolarGrid
from pipeline.simulation.scene import FLUID_DB, Scene, SkullEcho, blend
from pipeline.simulation.texture import sample, smooth_noise


def scene(grid: PolarGrid, patient: Patient, pose: Pose, skull: SkullEcho, rng: np.random.Generator) -> Scene:
    """Everything the beam meets. ``rng`` belongs to the image; anatomy is drawn from the patient's own seed."""
    anatomy = np.random.default_rng(np.random.SeedSequence(patient.entropy))
    x, z = grid.positions_mm()
    along, across, outside_mm, entry, facing_skull = around(grid, patient.contour.radius_mm, pose)
    level, specular, attenuation = _surroundings(grid, patient, pose, outside_mm, x, z, anatomy, rng)

    beam = grid.angle_rad.astype(np.float32)[None, :]
    inner = outside_mm < -patient.bone_mm
    facing_midline = np.abs(np.cos(np.float32(pose.rotation_rad) + beam) * np.ones_like(x))[inner]
    level[inner], specular[inner] = brain_echo(
        along[inner] / np.float32(patient.contour.half_length_mm),
        across[inner] / np.float32(patient.contour.half_width_mm),
        -outside_mm[inner] - np.float32(patient.bone_mm),
        patient.contour.half_width_mm,
        facing_midline,
        1.0 if np.cos(pose.rotation_rad) > 0 else -1.0,
        patient.weeks,
        anatomy,
    )
    attenuation[inner] = -0.02
    # Reverberation inside the near wall veils the near hemisphere.
    veil_db = rng.uniform(-38, -28) - np.maximum(z - (pose.centre_z_mm - patient.contour.half_width_mm), 0) * (
        20 / patient.contour.half_width_mm
    )
    level[inner] = 10 * np.log10(10 ** (level[inner] / 10) + 10 ** (veil_db[inner] / 10))
    add_skull(level, specular, attenuation, outside_mm, entry, facing_skull, patient.bone_mm, skull, anatomy, rng)
    return Scene(level, specular, attenuation)


def _surroundings(
    grid: PolarGrid,
    patient: Patient,
    pose: Pose,
    outside_mm: np.ndarray,
    x: np.ndarray,
    z: np.ndarray,
    anatomy: np.random.Generator,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level (dB), coherent amplitude and attenuation of all that is not head."""
    size_mm = patient.contour.half_length_mm
    depth = (grid.depth_mm.astype(np.float32)[:, None] + np.zeros_like(x)).astype(np.float32)
    dx, dz = x - np.float32(pose.centre_x_mm), z - np.float32(pose.centre_z_mm)
    around = np.arctan2(dz, dx)
    cosine, sine = np.cos(around), np.sin(around)

    def towards(direction_rad: float) -> np.ndarray:
        return cosine * np.float32(np.cos(direction_rad)) + sine * np.float32(np.sin(direction_rad))

    coarse = sample(smooth_noise(rng, 4.0), x * np.float32(0.9), z * np.float32(0.9))
    # Tissue planes lie along the probe face: fields stretched across the beams.
    arc = (grid.radius_mm + grid.depth_mm).astype(np.float32)[:, None] * grid.angle_rad.astype(np.float32)[None, :]
    streak = sample(smooth_noise(rng, 2.0), arc * np.float32(0.35), depth * np.float32(1.6) + 2 * coarse)
    broad = sample(smooth_noise(rng, 5.0), dx * np.float32(14 / size_mm), dz * np.float32(14 / size_mm))
    tissue = -34 + anatomy.normal(0, 2.5) + 5.5 * broad + 2.0 * coarse + 3.5 * streak

    # Placenta: bright and even, on one side of the cavity.
    placenta_at = anatomy.choice([-np.pi / 2, np.pi / 2, 0.35, np.pi - 0.35]) + anatomy.normal(0, 0.35)
    reach = anatomy.uniform(0.3, 0.9)
    placenta = 1 / (1 + np.exp(np.clip(-12 * (towards(placenta_at) - reach), -30, 30)))
    tone = -18 + anatomy.normal(0, 3) + 1.0 * coarse + 1.5 * broad
    tissue = blend(tissue, tone, placenta * anatomy.uniform(0.5, 1.0))

    # Amniotic fluid: little in front of and behind the head, pockets beside it.
    gap = anatomy.uniform(-0.15, 0.03) * size_mm + 0.05 * size_mm * broad + 0.8 * coarse
    for side in (0.0, np.pi):
        pocket = anatomy.uniform(0.0, 1.0) ** 1.5 * 1.3 * patient.fluid * size_mm
        at = side + anatomy.normal(0, 0.45)
        gap = gap + pocket * np.exp(np.float32(anatomy.uniform(2, 9)) * (towards(at) - 1))
    gap = gap + anatomy.uniform(-0.05, 0.12) * patient.fluid * size_mm * np.maximum(sine, 0)
    scalp_mm = anatomy.uniform(0.02, 0.1) * size_mm
    beyond = outside_mm - scalp_mm - gap
    fluid = 1 / (1 + np.exp(np.clip(beyond / 0.5, -30, 30)))
    level = blend(tissue, FLUID_DB, fluid)
    wall = np.exp(-((beyond / 0.8) ** 2)) * np.abs(sine) ** 3
    specular = 10 ** (rng.uniform(-26, -14) / 20) * wall * np.maximum(1 + 0.8 * coarse, 0)
    # Vessels and muscle planes: the strongest streaks reflect as well.
    specular = specular + 10 ** (rng.uniform(-26, -14) / 20) * np.maximum(streak - 1.3, 0) * (1 - fluid)
    attenuation = np.float32(-0.16) * fluid

    level, specular, attenuation = _other_round_things(
        level, specular, attenuation, patient, outside_mm - scalp_mm, (dx, dz), (streak, coarse), anatomy
    )

    # Scalp, then the mother's abdominal wall down to just above the head.
    level = blend(level, -31 + 2 * coarse, (outside_mm < scalp_mm).astype(np.float32))
    skin = np.exp(-(((outside_mm - scalp_mm) / 0.6) ** 2)) * np.abs(sine) ** 4
    specular = specular + 10 ** (anatomy.uniform(-30, -10) / 20) * skin * np.clip(1 + 0.7 * coarse, 0, 2)
    wall_mm = max(pose.centre_z_mm - patient.contour.half_width_mm - anatomy.uniform(0.03, 0.25) * size_mm, 8.0)
    layer_db, layer_line = _wall_layers(wall_mm, anatomy)
    warped = depth + 0.035 * wall_mm * coarse + 0.02 * wall_mm * streak
    inside = (1 / (1 + np.exp(np.clip((warped - wall_mm) / 0.7, -30, 30)))) * (outside_mm > scalp_mm)
    position = np.clip(warped * (len(layer_db) / (1.1 * wall_mm)), 0, len(layer_db) - 1).astype(np.int32)
    level = blend(level, layer_db[position] + 2.5 * streak + 1.5 * broad, inside)
    specular = specular + layer_line[position] * inside * np.maximum(0.6 + 0.7 * streak, 0)
    attenuation = attenuation * (1 - inside)
    # Reverberation in the abdominal wall veils fluid near the probe.
    veil_db = rng.uniform(-46, -36) - depth * np.float32(rng.uniform(0.15, 0.4)) + 2 * streak
    level = 10 * np.log10(10 ** (level / 10) + 10 ** (veil_db / 10))
    return level.astype(np.float32), specular.astype(np.float32), attenuation.astype(np.float32)


def _other_round_things(
    level: np.ndarray,
    specular: np.ndarray,
    attenuation: np.ndarray,
    patient: Patient,
    clear_mm: np.ndarray,
    offset_mm: tuple[np.ndarray, np.ndarray],
    texture: tuple[np.ndarray, np.ndarray],
    anatomy: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Trunk or limb beside the head (ringed by skin, with ribs), and dark rings: bladder, vessels, loops of cord.

    Args:
        clear_mm: distance to the scalp; nothing is drawn inside it.
        offset_mm: lateral and depth distance from the centre of the head.
        texture: streaked and even slow fields, zero mean and unit variance.
    """
    (dx, dz), (streak, coarse), size_mm = offset_mm, texture, patient.contour.half_length_mm
    for solid in (True, False):
        present = anatomy.random() < patient.clutter
        direction = anatomy.choice([0, np.pi]) + anatomy.normal(0, 0.6)
        radii = size_mm * anatomy.uniform(0.3, 0.75, 2) * (1.0 if solid else 0.45)
        away = size_mm * anatomy.uniform(0.95, 1.3) + radii[0]
        tone, skin = anatomy.normal(-24, 3), 10 ** (anatomy.uniform(-20, -5) / 20 - 0.5 * (not solid))
        if not present:
            continue
        across = (dx - np.float32(away * np.cos(direction))) / np.float32(radii[0])
        down = (dz - np.float32(away * np.sin(direction))) / np.float32(radii[1])
        body = (across**2 + down**2) * (1 + 0.12 * np.clip(coarse, -2, 2)) ** 2
        inside = 1 / (1 + np.exp(np.clip(9 * (body - 1), -30, 30))) * (clear_mm > 0)
        level = blend(level, tone + 2 * streak + 2 * coarse if solid else np.float32(FLUID_DB), inside)
        rim_mm = (np.sqrt(body) - 1) * np.float32(radii.mean())
        specular = specular * (1 - inside)
        specular += skin * np.exp(-((rim_mm / np.float32(0.9)) ** 2)) * down**2 / (body + 1e-3) * (clear_mm > 0)
        bones = np.maximum(streak + 0.7 * coarse - 2.0, 0) * inside * solid
        specular += 0.25 * bones
        attenuation = attenuation * (1 - inside) + (1.5 * bones if solid else -0.16 * inside)
    return level, specular, attenuation


def _wall_layers(wall_mm: float, anatomy: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Skin, fat, muscle, uterus as level (dB) and interface amplitude over depth, tables up to 1.1 times the wall."""
    depth = np.linspace(0, 1.1 * wall_mm, 256)
    edges = np.cumsum(np.concatenate([[min(2.0, 0.1 * wall_mm)], anatomy.dirichlet([6, 5, 5, 7]) * wall_mm]))
    levels = np.array([-19, -30, -25, -31, -27, -27]) + anatomy.normal(0, 2.5, 6)
    level = levels[np.searchsorted(edges, depth)]
    line = np.zeros_like(depth)
    for edge in edges[:4]:
        line += 10 ** (anatomy.uniform(-26, -15) / 20) * np.exp(-(((depth - edge) / 0.5) ** 2))
    return level.astype(np.float32), line.astype(np.float32)
