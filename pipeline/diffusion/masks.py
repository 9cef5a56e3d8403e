"""Masks to sample images from: warped train masks, draws from the shape model, and masks of the user's."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.config.augmentation import Warp
from pipeline.config.sample import MaskShares
from pipeline.data.case import Case
from pipeline.diffusion.angle_bands import Band, band_of, turn
from pipeline.diffusion.conditioning import check_cells
from pipeline.diffusion.mask_draw import MaskDraw
from pipeline.diffusion.pair_limits import keeps_pair
from pipeline.diffusion.pair_shapes import PairShapes, fit_pair_shapes
from pipeline.diffusion.shape_model import ShapeModel, fit_shape_model
from pipeline.imaging.field_of_view import field_of_view
from pipeline.imaging.letterbox import Letterbox, letterbox
from pipeline.imaging.warp import plausible_warp, warp
from pipeline.run import seeds
from pipeline.run.errors import InputError
from pipeline.tasks.segmentation.pair import Pair

ANGLE = "aop_deg"
"""Key of a transform: the angle of progression of the mask in degrees, null where it cannot be measured."""


@dataclass(frozen=True)
class MaskSource:
    """Draws masks; mask i is a function of (labels, user masks, parameters, seed, i) alone, and made when asked for.

    labels: the label subset. Every mask takes the canvas (aspect ratio, pixel size) and the sector of one of them:
    a warped mask those of its parent, a mask of the shape model or the user's those of the label whose sector fits.
    user: uint8 masks (H, W) by name; a structure smaller than ``cell`` pixels along an edge is refused by name.
    pair: symphysis and head, where the structures have these roles: masks then keep them apart and on their sides, and
    the transform of each tells its angle. With ``shares.angles`` each band of angles has its share of the masks that
    are not the user's; of a band that no label is in, they are all of the shape model.
    """

    labels: Sequence[Case]
    n_structures: int
    size: int
    shares: MaskShares
    warp: Warp
    seed: int
    user: Sequence[tuple[str, np.ndarray]] = ()
    structures: Sequence[str] = ()
    cell: int = 1
    pair: Pair | None = None

    def __post_init__(self):
        if self.shares.user and not self.user:
            raise InputError(
                f"key 'sample.masks.user' is {self.shares.user}, but data/masks holds no mask; "
                "put PNG masks there or set it to 0"
            )

    def draw(self, i: int) -> MaskDraw:
        rng = seeds.numpy_generator(self.seed, "mask", i)
        # Each source counts its own masks, so that each takes the labels in turn.
        users_before, is_user = turn(i, self.shares.user)
        if is_user:
            return self._user(users_before)
        rest, band, parents = i - users_before, None, self._order
        if self.shares.angles:
            band, rest = band_of(rest, self.shares.angles)
            parents = [k for k in self._order if band.holds(self._angles[k])]
        others = self.shares.parent + self.shares.shape_model
        shapes_before, is_shape = turn(rest, self.shares.shape_model / others)
        if is_shape or not len(parents):
            return self._shape(rng, band)
        return self._parent(int(parents[(rest - shapes_before) % len(parents)]), rng, band)

    def _parent(self, index: int, rng: np.random.Generator, band: Band | None) -> MaskDraw:
        mask, box = self._boxed[index]
        valid = box.valid(self.size)

        keeps = keeps_pair(self.pair, mask, valid)

        def accept(moved: np.ndarray) -> bool:
            return (band is None or band.holds(self.pair.angle(moved))) and keeps(moved)

        field = plausible_warp(mask, valid, self.warp, rng, accept)
        warped = np.where(valid, warp(mask, field, mask=True), 0).astype(np.uint8)
        return self._draw(warped, index, "parent", {"warp": self.warp.model_dump()})

    def _shape(self, rng: np.random.Generator, band: Band | None) -> MaskDraw:
        valid, options = [box.valid(self.size) for _, box in self._boxed], () if self.pair is None else (band,)
        mask, index, *_ = self._shapes.sample(self.size, valid, rng, *options)
        return self._draw(mask, index, "shape_model", {"canvas": self.labels[index].id})

    def _user(self, turn: int) -> MaskDraw:
        name, mask = self.user[turn % len(self.user)]
        boxed, box = letterbox(mask, self.size, mask=True)
        if not boxed.any():
            raise InputError(f"data/masks: nothing is left of mask '{name}' at {self.size} px; draw it larger")
        check_cells(boxed, self.structures, self.cell, f"data/masks: mask '{name}'", "draw it larger, or leave it out")
        missed = [np.count_nonzero(boxed[~sector]) for sector in self._sectors]
        nearest = int(np.argmin(missed))
        told = json.dumps({"mask": name} | self._angle(boxed))
        # Its pixel size is its own, and nobody told it.
        return MaskDraw(boxed, box, self._sectors[nearest], "user", told, self.labels[nearest])

    def _draw(self, mask: np.ndarray, index: int, source: str, transform: dict) -> MaskDraw:
        template, box = self.labels[index], self._boxed[index][1]
        pixel_mm = template.pixel_mm / box.scale if template.pixel_mm else None
        told = json.dumps(transform | self._angle(mask))
        return MaskDraw(mask, box, self._sectors[index], source, told, template, pixel_mm)

    def _angle(self, mask: np.ndarray) -> dict[str, float | None]:
        """What the transform tells of the angle of a mask; nothing where the structures have none."""
        if self.pair is None:
            return {}
        return {ANGLE: None if np.isnan(angle := self.pair.angle(mask)) else round(angle, 4)}

    @cached_property
    def _order(self) -> np.ndarray:
        return seeds.numpy_generator(self.seed, "template order").permutation(len(self.labels))

    @cached_property
    def _boxed(self) -> list[tuple[np.ndarray, Letterbox]]:
        return [letterbox(case.mask, self.size, mask=True) for case in self.labels]

    @cached_property
    def _sectors(self) -> list[np.ndarray]:
        return [field_of_view(letterbox(case.image, self.size)[0]) for case in self.labels]

    @cached_property
    def _angles(self) -> list[float]:
        return [self.pair.angle(mask) for mask, _ in self._boxed]

    @cached_property
    def _shapes(self) -> ShapeModel | PairShapes:
        known = [mask for mask, _ in self._boxed], self.n_structures, self._sectors
        if self.pair is None:
            return fit_shape_model(*known)
        return fit_pair_shapes(*known, [box.valid(self.size) for _, box in self._boxed], self.pair)


@dataclass(frozen=True)
class RepeatedMasks:
    """Every mask of a source ``times`` in a row: several images of one mask show how much a generator varies."""

    source: MaskSource
    times: int

    def draw(self, i: int) -> MaskDraw:
        return self.source.draw(i // self.times)
