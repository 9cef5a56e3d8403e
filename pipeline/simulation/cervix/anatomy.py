"""The cervix of one pregnant woman: two thin lips along a bent canal, and the fetal head beyond the internal os."""

from dataclasses import dataclass

import numpy as np

from pipeline.simulation.cervix.canal import Canal
from pipeline.simulation.ellipse import Ellipse

ANTERIOR, POSTERIOR = -1, 1
"""Sides of the canal."""
TRIES = 200
MIN_FROM_HEAD_MM = 2.0
MIN_BELOW_PROBE_MM = 4.0


@dataclass(frozen=True)
class Population:
    """Who is scanned. Pairs are mean and standard deviation unless said otherwise; draws stay within two and a half.

    canal_mm: length of the canal, cut below 14 mm. bend_per_m: its curvature.
    tilt_deg: direction from the internal to the external os, to the lateral axis, positive towards the depth.
    middle_mm: lateral and depth range of the canal's middle, (low, high) each.
    thickness_mm: of the anterior and of the posterior lip.
    gap_mm: range of the canal's width.
    funnel: chance that the inner part of the canal is open. bladder: chance of a filled bladder.
    """

    canal_mm: tuple[float, float]
    bend_per_m: tuple[float, float]
    tilt_deg: tuple[float, float]
    middle_mm: tuple[tuple[float, float], tuple[float, float]]
    thickness_mm: tuple[tuple[float, float], tuple[float, float]]
    gap_mm: tuple[float, float]
    funnel: float
    bladder: float


@dataclass(frozen=True)
class Lip:
    """One lip: a superellipse in the canal's coordinates, as thick as ``thickness_mm`` at its middle.

    side: ``ANTERIOR`` or ``POSTERIOR``. shift_mm: of its middle along the canal. half_mm: half its length.
    taper: relative gain of thickness from the inner to the outer end. power: 2 is an ellipse, more is blunter.
    """

    side: int
    shift_mm: float
    half_mm: float
    thickness_mm: float
    taper: float
    power: float


@dataclass(frozen=True)
class Cervix:
    """Canal and lips as they lie in one image; the canal's middle line is that of the gap between the lips.

    gap_mm: width of the closed canal. funnel_mm: by how much it is wider at the internal os. funnel_share: how much of
    the length is open; 0 where the canal is closed.
    """

    canal: Canal
    lips: tuple[Lip, Lip]
    gap_mm: float
    funnel_mm: float
    funnel_share: float

    @property
    def closed_mm(self) -> float:
        """Length of the closed part of the canal, which is what a sonographer measures."""
        return self.canal.length_mm * (1 - self.funnel_share)

    def half_gap_mm(self, along_mm: np.ndarray) -> np.ndarray:
        """Half the canal's width at positions along it."""
        if not self.funnel_share:
            return np.full_like(along_mm, 0.5 * self.gap_mm)
        place = along_mm / self.canal.length_mm + 0.5
        opened = np.clip(1 - place / self.funnel_share, 0, 1.6) ** 1.5
        return 0.5 * (self.gap_mm + self.funnel_mm * opened)

    def level(self, lip: Lip, along_mm: np.ndarray, across_mm: np.ndarray) -> np.ndarray:
        """0 in the middle of a lip, 1 on its outline, more outside; arguments are the canal's coordinates."""
        u = (along_mm - lip.shift_mm) / lip.half_mm
        half = 0.5 * lip.thickness_mm * (1 + lip.taper * np.clip(u, -1, 1))
        v = (lip.side * across_mm - self.half_gap_mm(along_mm) - half) / half
        return (np.abs(u) ** lip.power + np.abs(v) ** lip.power) ** (1 / lip.power)

    def outline(self, lip: Lip, count: int) -> tuple[np.ndarray, np.ndarray]:
        """x and z of points on a lip's outline, (count,) each."""
        t = np.arange(count) * (2 * np.pi / count)
        u, v = (np.sign(f) * np.abs(f) ** (2 / lip.power) for f in (np.cos(t), np.sin(t)))
        along = lip.shift_mm + lip.half_mm * u
        half = 0.5 * lip.thickness_mm * (1 + lip.taper * u)
        return self.canal.point(along, lip.side * (self.half_gap_mm(along) + half + half * v))

    def internal_os(self) -> tuple[float, float]:
        """(x, z) of the inner end of the canal."""
        x, z = self.canal.point(-0.5 * self.canal.length_mm, 0.0)
        return float(x), float(z)


@dataclass(frozen=True)
class Patient:
    """``entropy`` seeds what is not spelt out here.

    waters_mm: fluid between the internal os and the head.
    """

    cervix: Cervix
    head: Ellipse
    waters_mm: float
    bladder: bool
    entropy: tuple[int, ...]


def sample_patient(population: Population, entropy: tuple[int, ...]) -> Patient:
    """Draw a patient; a pure function of its arguments."""
    rng = np.random.default_rng(np.random.SeedSequence(entropy))
    length = max(_normal(rng, population.canal_mm), 14.0)
    funnelled, bladder = bool(rng.random() < population.funnel), bool(rng.random() < population.bladder)
    lips = tuple(
        Lip(
            side=side,
            shift_mm=float(rng.normal(0.02, 0.03) * length),
            half_mm=float(0.5 * length * rng.uniform(1.0, 1.14)),
            thickness_mm=max(_normal(rng, thickness), 3.5),
            taper=float(rng.uniform(-0.25, 0.3)),
            power=float(rng.uniform(2.1, 3.2)),
        )
        for side, thickness in zip((ANTERIOR, POSTERIOR), population.thickness_mm, strict=True)
    )
    gap = float(rng.uniform(*population.gap_mm))
    funnel = (float(rng.uniform(5, 13)), float(rng.uniform(0.2, 0.5))) if funnelled else (0.0, 0.0)
    for _ in range(TRIES):
        bend = _normal(rng, population.bend_per_m) / 1000
        bend = bend if abs(bend) > 1e-5 else 1e-5
        middle = tuple(float(rng.uniform(*bounds)) for bounds in population.middle_mm)
        canal = Canal(middle, np.radians(_normal(rng, population.tilt_deg)), bend, length)
        cervix = Cervix(canal, lips, gap, *funnel)
        waters = float(rng.uniform(1, 11))
        head = _head(cervix, waters, rng)
        outlines = [cervix.outline(lip, 120) for lip in lips]
        apart = all(_outside_mm(head, *one).min() > MIN_FROM_HEAD_MM for one in outlines)
        if apart and all(z.min() > MIN_BELOW_PROBE_MM for _, z in outlines):
            return Patient(cervix, head, waters, bladder, (*entropy, 1))
    raise RuntimeError(f"no cervix is in view in {TRIES} draws")


def _head(cervix: Cervix, waters_mm: float, rng: np.random.Generator) -> Ellipse:
    """The head lies beyond the internal os, on the left of the picture and somewhat below."""
    x, z = cervix.internal_os()
    long_mm, ratio = rng.uniform(46, 56), rng.uniform(0.8, 0.95)
    head = Ellipse((0.0, 0.0), float(long_mm), float(long_mm * ratio), float(rng.uniform(0, np.pi)))
    away = np.pi + cervix.canal.rotation_rad - np.radians(rng.uniform(2, 40))
    reach = float(head.support(away)) + waters_mm
    return head.moved((x + reach * float(np.cos(away)), z + reach * float(np.sin(away))))


def _outside_mm(head: Ellipse, x_mm: np.ndarray, z_mm: np.ndarray) -> np.ndarray:
    """About the distance to the head's outline, positive outside."""
    along, across = head.pose.own_coordinates(x_mm, z_mm)
    return (np.hypot(along / head.long_mm, across / head.short_mm) - 1) * head.short_mm


def _normal(rng: np.random.Generator, mean_sd: tuple[float, float]) -> float:
    mean, sd = mean_sd
    return float(mean + sd * np.clip(rng.standard_normal(), -2.5, 2.5))
