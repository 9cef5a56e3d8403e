"""The training images of a generator, decoded once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.data.case import Case
from pipeline.data.structures import Structure, from_json, to_json
from pipeline.diffusion.sector import sector_polygon
from pipeline.imaging.field_of_view import field_of_view
from pipeline.imaging.letterbox import letterbox
from pipeline.run.errors import InputError, in_one_line
from pipeline.run.files import read_json, write_json

_SECTOR_BIT = 256
_AGAIN = "run the stage encode_views again, or `dvc pull`"


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

    def __len__(self) -> int:
        return len(self.images)

    @property
    def n_structures(self) -> int:
        return len(self.structures)

    @property
    def image_size(self) -> int:
        return self.images.shape[-1]

    def with_masks(self) -> "TrainingSet":
        """The cases with a mask alone."""
        parts = {name: getattr(self, name)[self.known] for name in ("images", "masks", "sectors", "known")}
        return replace(self, **parts)

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

    def save(self, folder: Path) -> None:
        """Write ``cases.safetensors`` and ``cases.json``."""
        from safetensors.torch import save_file

        parts = ("images", "masks", "sectors", "known")
        save_file({name: getattr(self, name).contiguous() for name in parts}, folder / "cases.safetensors")
        about = {"structures": to_json(self.structures), "labelled": self.labelled}
        write_json(folder / "cases.json", about)


def parted(coded: Tensor) -> tuple[Tensor, Tensor]:
    """Masks and sectors of coded label images."""
    return coded % _SECTOR_BIT, coded >= _SECTOR_BIT


def open_training_set(folder: Path) -> TrainingSet:
    """What :meth:`TrainingSet.save` wrote.

    Raises:
        InputError: nothing there, or a damaged file.
    """
    from safetensors.torch import load_file

    about = read_json(folder / "cases.json", _AGAIN)
    path = folder / "cases.safetensors"
    try:
        structures, labelled = from_json(about["structures"]), int(about["labelled"])
        return TrainingSet(**load_file(path), labelled=labelled, structures=tuple(structures))
    except Exception as error:  # a file can be damaged in many ways
        raise InputError(f"{path}: no training images can be read from it ({in_one_line(error)}); {_AGAIN}") from None


def build_training_set(
    labelled: Sequence[Case], unlabelled: Sequence[Case], structures: Sequence[Structure], size: int
) -> TrainingSet:
    """Letter-box every case once; an unlabelled case may carry a pseudo-mask.

    Raises:
        InputError: a mask of which nothing is left at this size.
    """
    cases = [*labelled, *unlabelled]
    images = np.stack([letterbox(case.image, size)[0] for case in cases])
    masks = [_boxed(case, size) for case in cases]
    return TrainingSet(
        images=torch.from_numpy(images),
        masks=torch.from_numpy(np.stack(masks)),
        sectors=torch.from_numpy(np.stack([field_of_view(image) for image in images])),
        known=torch.tensor([case.mask is not None for case in cases]),
        labelled=len(labelled),
        structures=tuple(structures),
    )


def _boxed(case: Case, size: int) -> np.ndarray:
    if case.mask is None:
        return np.zeros((size, size), dtype=np.uint8)
    mask = letterbox(case.mask, size, mask=True)[0]
    if case.mask.any() and not mask.any():
        raise InputError(
            f"case '{case.id}': nothing is left of its mask at {size} px; raise views.image_size, or leave it out"
        )
    return mask
