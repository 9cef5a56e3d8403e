"""The training images of a generator, decoded once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.data.case import Case
from pipeline.data.structures import Structure
from pipeline.diffusion.sector import sector_polygon
from pipeline.imaging.field_of_view import field_of_view
from pipeline.imaging.letterbox import letterbox

_SECTOR_BIT = 256


@dataclass(frozen=True)
class TrainingSet:
    """Labelled cases first, then unlabelled ones.

    images: uint8 [N, S, S], letter-boxed. masks: uint8 [N, S, S], class indices, zeros where unknown.
    sectors: bool [N, S, S]. known: bool [N], is there a mask, annotated or by the filter.
    labelled: how many cases are labelled.
    """

    images: Tensor
    masks: Tensor
    sectors: Tensor
    known: Tensor
    labelled: int
    structures: tuple[Structure, ...]

    @property
    def n_structures(self) -> int:
        return len(self.structures)

    @property
    def grey(self) -> tuple[float, float]:
        """Mean and standard deviation of the images in [-1, 1]."""
        values = self.images.to(torch.float64) / 127.5 - 1
        return float(values.mean()), float(values.std(correction=0))

    def polygons(self) -> list:
        """The sectors of the labelled images, see ``sector.sector_polygon``."""
        return [sector_polygon(sector) for sector in self.sectors[: self.labelled].numpy()]

    def choose(self, count: int, unlabelled_share: float, generator: torch.Generator) -> Tensor:
        """Indices [count]: labelled cases, and in ``unlabelled_share`` of them unlabelled ones where there are any."""
        others = len(self.images) - self.labelled
        n_others = round(count * unlabelled_share) if others else 0
        labelled = torch.randint(self.labelled, (count - n_others,), generator=generator)
        if not n_others:
            return labelled
        return torch.cat([self.labelled + torch.randint(others, (n_others,), generator=generator), labelled])

    def pixels(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Images float [B, 1, S, S] in [-1, 1], and masks and sectors coded as label images int16 [B, S, S].

        One label image is moved at once; :func:`parted` takes it apart.
        """
        coded = self.masks[chosen].short() + _SECTOR_BIT * self.sectors[chosen]
        return self.images[chosen][:, None].float() / 127.5 - 1, coded


def parted(coded: Tensor) -> tuple[Tensor, Tensor]:
    """Masks and sectors of coded label images."""
    return coded % _SECTOR_BIT, coded >= _SECTOR_BIT


def build_training_set(
    labelled: Sequence[Case], unlabelled: Sequence[Case], structures: Sequence[Structure], size: int
) -> TrainingSet:
    """Letter-box every case once; an unlabelled case may carry a pseudo-mask."""
    cases = [*labelled, *unlabelled]
    images = np.stack([letterbox(case.image, size)[0] for case in cases])
    empty = np.zeros((size, size), dtype=np.uint8)
    masks = [empty if case.mask is None else letterbox(case.mask, size, mask=True)[0] for case in cases]
    return TrainingSet(
        images=torch.from_numpy(images),
        masks=torch.from_numpy(np.stack(masks)),
        sectors=torch.from_numpy(np.stack([field_of_view(image) for image in images])),
        known=torch.tensor([case.mask is not None for case in cases]),
        labelled=len(labelled),
        structures=tuple(structures),
    )
