"""Pubic symphysis and fetal head of one woman in labour: two ellipses with the angle of progression by construction.

Coordinates are those of the probe: x lateral, z depth below the centre of its face. The symphysis lies on the left, its
inferior end nearer to the middle of the picture; the head lies clockwise, as seen on the screen, from the direction of
the inferior end towards the tangent, so on the left of the axis from inferior to superior.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.ellipse import Ellipse, gap_mm

MIN_BELOW_PROBE_MM = 3.0
HEAD_LATERAL_MM, HEAD_DEPTH_MM = (-30.0, 42.0), (58.0, 115.0)
MIN_OPENING_DEG = 12.0
TRIES = 1000


@dataclass(frozen=True)
class Population:
    """Who is scanned. Pairs are mean and standard deviation unless said otherwise; draws stay within three of these.

    aop_deg: angle of progression: mean and standard deviation of a normal distribution, and the ends it is cut at.
    symphysis_mm, symphysis_ratio: semi-length, and width over length.
    slope_deg: by how much the symphysis rises towards its inferior end.
    symphysis_at_mm: lateral and depth range of its centre, (low, high) each.
    head_mm, head_ratio, head_turn_deg: the same of the head; its long axis to the vertical, positive clockwise.
    gap_mm: range of the shortest distance between the two, (low, high).
    bladder: chance of a filled bladder.
    caput_mm: range of the soft tissue over the leading part of the skull.
    """

    aop_deg: tuple[float, float, float, float]
    symphysis_mm: tuple[float, float]
    symphysis_ratio: tuple[float, float]
    slope_deg: tuple[float, float]
    symphysis_at_mm: tuple[tuple[float, float], tuple[float, float]]
    head_mm: tuple[float, float]
    head_ratio: tuple[float, float]
    head_turn_deg: tuple[float, float]
    gap_mm: tuple[float, float]
    bladder: float
    caput_mm: tuple[float, float]


@dataclass(frozen=True)
class Patient:
    """``entropy`` seeds what is not spelt out here."""

    aop_deg: float
    symphysis: Ellipse
    head: Ellipse
    bladder: bool
    caput_mm: float
    entropy: tuple[int, ...]


def sample_patient(population: Population, entropy: tuple[int, ...]) -> Patient:
    """Draw a patient; a pure function of its arguments. The angle is drawn first, and kept while the rest is drawn."""
    rng = np.random.default_rng(np.random.SeedSequence(entropy))
    aop_deg = _cut_normal(rng, *population.aop_deg)
    bladder, caput_mm = bool(rng.random() < population.bladder), float(rng.uniform(*population.caput_mm))
    for _ in range(TRIES):
        symphysis = _symphysis(population, rng)
        head = Ellipse((0.0, 0.0), *_semi_axes(population.head_mm, population.head_ratio, rng),
                       np.pi / 2 + np.radians(_normal(rng, population.head_turn_deg)))  # fmt: skip
        gap = float(rng.uniform(*population.gap_mm))
        head = placed_head(symphysis, head, aop_deg, gap)
        if _in_view(symphysis, head):
            return Patient(aop_deg, symphysis, head, bladder, caput_mm, (*entropy, 1))
    raise RuntimeError(f"no head is in view at an angle of progression of {aop_deg:.1f} degrees in {TRIES} draws")


def inferior_end(symphysis: Ellipse) -> tuple[float, float]:
    """(x, z) of the end of the long axis at which the angle of progression is measured."""
    reach = symphysis.long_mm
    return (
        float(symphysis.centre_mm[0] + reach * np.cos(symphysis.rotation_rad)),
        float(symphysis.centre_mm[1] + reach * np.sin(symphysis.rotation_rad)),
    )


def placed_head(symphysis: Ellipse, head: Ellipse, aop_deg: float, gap: float) -> Ellipse:
    """The head moved to where its far-side tangent from the inferior end makes the angle, and the gap is as wanted.

    The tangent is laid first, then the head against its inner side, and along it until the gap fits.

    Args:
        symphysis: its ``rotation_rad`` is the direction from the superior to the inferior end.
        aop_deg: between the axis from the inferior to the superior end and the tangent, 0 to 180.
        gap: shortest distance, mm, above 0.
    """
    tangent = symphysis.rotation_rad + np.pi - np.radians(aop_deg)
    inwards = tangent + np.pi / 2
    x, z = inferior_end(symphysis)
    height = head.support(inwards)
    # Where the tangent touches the head lies this far along it, from the foot of the centre.
    turned = inwards - head.rotation_rad
    lean = (head.long_mm**2 - head.short_mm**2) * np.sin(turned) * np.cos(turned) / height

    def at(along: float) -> Ellipse:
        foot = (x + (along + lean) * np.cos(tangent), z + (along + lean) * np.sin(tangent))
        centre = (float(foot[0] + height * np.cos(inwards)), float(foot[1] + height * np.sin(inwards)))
        return Ellipse(centre, head.long_mm, head.short_mm, head.rotation_rad)

    # The distance is convex along the line, and none where the head touches the inferior end: one root lies beyond.
    low, high = 0.0, 4 * (symphysis.long_mm + head.long_mm) + gap
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if gap_mm(symphysis, at(middle), refine=False) < gap else (low, middle)
    return at(0.5 * (low + high))


def _symphysis(population: Population, rng: np.random.Generator) -> Ellipse:
    long_mm, short_mm = _semi_axes(population.symphysis_mm, population.symphysis_ratio, rng)
    centre = tuple(float(rng.uniform(*bounds)) for bounds in population.symphysis_at_mm)
    return Ellipse(centre, long_mm, short_mm, -np.radians(_normal(rng, population.slope_deg)))


def _semi_axes(
    length: tuple[float, float], ratio: tuple[float, float], rng: np.random.Generator
) -> tuple[float, float]:
    long_mm = _normal(rng, length)
    return long_mm, long_mm * min(_normal(rng, ratio), 0.97)


def _in_view(symphysis: Ellipse, head: Ellipse) -> bool:
    """Whether a sonographer would have kept the picture: both below the probe, the head not beside it."""
    shallow = min(one.boundary(180)[1].min() for one in (symphysis, head))
    lateral, depth = head.centre_mm
    return (
        shallow >= MIN_BELOW_PROBE_MM
        and HEAD_LATERAL_MM[0] <= lateral <= HEAD_LATERAL_MM[1]
        and HEAD_DEPTH_MM[0] <= depth <= HEAD_DEPTH_MM[1]
        and opening_deg(symphysis, head) >= MIN_OPENING_DEG
    )


def opening_deg(symphysis: Ellipse, head: Ellipse) -> float:
    """Angle at the inferior end from the axis of the symphysis to the nearest point of the head's outline."""
    x, z = inferior_end(symphysis)
    edge_x, edge_z = head.boundary(360)
    bearing = symphysis.rotation_rad + np.pi - np.arctan2(edge_z - z, edge_x - x)
    return float(np.degrees((bearing + np.pi) % (2 * np.pi) - np.pi).min())


def _normal(rng: np.random.Generator, mean_sd: tuple[float, float]) -> float:
    mean, sd = mean_sd
    return float(mean + sd * np.clip(rng.standard_normal(), -3, 3))


def _cut_normal(rng: np.random.Generator, mean: float, sd: float, low: float, high: float) -> float:
    while not low <= (value := float(rng.normal(mean, sd))) <= high:
        pass
    return value
