"""Masks to sample images from: warped train masks, draws from the shape model, and masks of the user's."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.config.augmentation import Warp
from pipeline.config.sample import MaskShares
from pipeline.data.case import Case
from pipeline.diffusion.conditioning import check_cells
from pipeline.diffusion.mask_draw import MaskDraw
from pipeline.diffusion.shape_model import fit_shape_model
from pipeline.imaging.field_of_view import field_of_view
from pipeline.imaging.letterbox import Letterbox, letterbox
from pipeline.imaging.warp import plausible_warp, warp
from pipeline.run import seeds
from pipeline.run.errors import InputError


@dataclass(frozen=True)
class MaskSource:
    """Draws masks; mask i is a function of (labels, user masks, parameters, seed, i) alone, and made when asked for.

    labels: the label subset. Every mask takes the canvas (aspect ratio, pixel size) and the sector of one of them:
    a warped mask those of its parent, a mask of the shape model or the user's those of the label whose sector fits.
    user: uint8 masks (H, W) by name; a structure smaller than ``cell`` pixels along an edge is refused by name.
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

    def __post_init__(self):
        if self.shares.user and not self.user:
            raise InputError(
                f"key 'sample.masks.user' is {self.shares.user}, but data/masks holds no mask; "
                "put PNG masks there or set it to 0"
            )

    def draw(self, i: int) -> MaskDraw:
        rng = seeds.numpy_generator(self.seed, "mask", i)
        # Each source counts its own masks, so that each takes the labels in turn.
        users_before, is_user = _turn(i, self.shares.user)
        if is_user:
            return self._user(users_before)
        rest = i - users_before
        others = self.shares.parent + self.shares.shape_model
        shapes_before, is_shape = _turn(rest, self.shares.shape_model / others)
        if is_shape:
            return self._shape(rng)
        return self._parent(int(self._order[(rest - shapes_before) % len(self.labels)]), rng)

    def _parent(self, index: int, rng: np.random.Generator) -> MaskDraw:
        mask, box = self._boxed[index]
        valid = box.valid(self.size)
        field = plausible_warp(mask, valid, self.warp, rng)
        warped = np.where(valid, warp(mask, field, mask=True), 0).astype(np.uint8)
        return self._draw(warped, index, "parent", {"warp": self.warp.model_dump()})

    def _shape(self, rng: np.random.Generator) -> MaskDraw:
        mask, index = self._shapes.sample(self.size, [box.valid(self.size) for _, box in self._boxed], rng)
        return self._draw(mask, index, "shape_model", {"canvas": self.labels[index].id})

    def _user(self, turn: int) -> MaskDraw:
        name, mask = self.user[turn % len(self.user)]
        boxed, box = letterbox(mask, self.size, mask=True)
        if not boxed.any():
            raise InputError(f"data/masks: nothing is left of mask '{name}' at {self.size} px; draw it larger")
        check_cells(boxed, self.structures, self.cell, f"data/masks: mask '{name}'", "draw it larger, or leave it out")
        missed = [np.count_nonzero(boxed[~sector]) for sector in self._sectors]
        nearest = int(np.argmin(missed))
        # Its pixel size is its own, and nobody told it.
        return MaskDraw(boxed, box, self._sectors[nearest], "user", json.dumps({"mask": name}), self.labels[nearest])

    def _draw(self, mask: np.ndarray, index: int, source: str, transform: dict) -> MaskDraw:
        template, box = self.labels[index], self._boxed[index][1]
        pixel_mm = template.pixel_mm / box.scale if template.pixel_mm else None
        return MaskDraw(mask, box, self._sectors[index], source, json.dumps(transform), template, pixel_mm)

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
    def _shapes(self):
        return fit_shape_model([mask for mask, _ in self._boxed], self.n_structures, self._sectors)


@dataclass(frozen=True)
class RepeatedMasks:
    """Every mask of a source ``times`` in a row: several images of one mask show how much a generator varies."""

    source: MaskSource
    times: int

    def draw(self, i: int) -> MaskDraw:
        return self.source.draw(i // self.times)


def _turn(i: int, share: float) -> tuple[int, bool]:
    """How many of the first i items are of a kind that takes ``share`` of all, evenly spread, and whether item i is."""
    before = int(i * share + 1e-9)
    return before, int((i + 1) * share + 1e-9) > before
