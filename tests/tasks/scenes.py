"""Symphysis and head as ellipses whose angle of progression and distances are known in closed form."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Oval:
    """centre (x, y), semi-axes, and the direction of the long one in radians from x towards y."""

    centre: tuple[float, float]
    long: float
    short: float
    angle: float

    def local(self, points):
        """Points (..., 2) in units of the semi-axes, which makes the ellipse the unit circle."""
        turned = (np.asarray(points) - self.centre) @ self._frame().T
        return turned / (self.long, self.short)

    def at(self, turn):
        """The point of the rim at an angle of the unit circle."""
        return self._frame().T @ (self.long * math.cos(turn), self.short * math.sin(turn)) + self.centre

    def filled(self, shape):
        y, x = np.mgrid[: shape[0], : shape[1]]
        return (self.local(np.stack([x, y], axis=-1)) ** 2).sum(axis=-1) <= 1

    def _frame(self):
        return np.array([[math.cos(self.angle), math.sin(self.angle)], [-math.sin(self.angle), math.cos(self.angle)]])


@dataclass(frozen=True)
class Scene:
    """As PSFHS shows it: someone who goes from the superior end (angle π of the oval) to the inferior one (angle 0)
    has the head on the right."""

    symphysis: Oval
    head: Oval

    @property
    def inferior(self):
        return self.symphysis.at(0)

    def class_map(self, shape=(256, 256)):
        """uint8 (H, W): 1 symphysis, 2 head."""
        return np.where(self.symphysis.filled(shape), 1, 2 * self.head.filled(shape)).astype(np.uint8)

    def angle_to(self, vector):
        """Degrees from the axis, inferior to superior, to a vector; positive towards the head's side."""
        x, y = self.symphysis.at(math.pi) - self.inferior
        return math.degrees(math.atan2(vector @ (y, -x), vector @ (x, y)))

    def aop(self):
        """Degrees, from the tangents of the unit circle: acos(1 / distance) beside the point's own angle.

        They lie less than 180 degrees beside the centre of the head, which is on its side of the axis.
        """
        point = self.head.local(self.inferior)
        beside = math.acos(1 / math.hypot(*point))
        touch = [self.head.at(math.atan2(*point[::-1]) + sign * beside) for sign in (1, -1)]
        middle = self.angle_to(self.head.centre - self.inferior)
        return middle + max((self.angle_to(one - self.inferior) - middle + 180) % 360 - 180 for one in touch)

    def hsd(self):
        """Shortest distance, by the densest of samples."""
        rim = np.array([self.head.at(turn) for turn in np.linspace(0, 2 * math.pi, 4001)])
        return float(np.linalg.norm(rim - self.inferior, axis=1).min())


def random_scene(rng):
    """A scene in the range of PSFHS, wholly in 256 x 256 pixels, the head clear of the symphysis."""
    while True:
        long, head_long = rng.uniform(20, 38), rng.uniform(55, 80)
        bone = Oval(tuple(rng.uniform((60, 30), (130, 80))), long, long * rng.uniform(0.38, 0.65), rng.uniform(-1, 0.8))
        skull = Oval(
            tuple(rng.uniform((90, 110), (170, 180))), head_long, head_long * rng.uniform(0.66, 1), rng.uniform(0, 3.14)
        )
        scene, point = Scene(bone, skull), skull.local(bone.at(0))
        if math.hypot(*point) < 1.08 or scene.angle_to(np.subtract(skull.centre, scene.inferior)) < 0:
            continue
        mask = scene.class_map()
        inside = not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
        apart = not (bone.filled(mask.shape) & skull.filled(mask.shape)).any()
        if inside and apart and 70 < scene.aop() < 170:
            return scene


def resampled(mask, degrees, scale=1.0):
    """The class map turned about its middle and enlarged, nearest neighbour, on a canvas that holds all of it."""
    side = math.ceil(math.hypot(*mask.shape) * scale) + 4
    # Of the parity of the mask: a quarter turn would else take every pixel from half way between two.
    side += (side - mask.shape[0]) % 2
    y, x = (np.mgrid[:side, :side] - (side - 1) / 2) / scale
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    middle = (np.array(mask.shape) - 1) / 2
    return ndimage.map_coordinates(mask, [cos * y + sin * x + middle[0], cos * x - sin * y + middle[1]], order=0)
