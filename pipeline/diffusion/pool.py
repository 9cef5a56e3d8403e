"""The training pool of the generator, decoded once, and its batches, each a function of (seed, step)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.config.diffusion import Diffusion
from pipeline.data.case import Case
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.pixel.augmentation import apply_changes, draw_changes
from pipeline.imaging.field_of_view import field_of_view
from pipeline.imaging.letterbox import Letterbox, letterbox
from pipeline.run import seeds

SECTOR_BIT = 256


@dataclass(frozen=True)
class Pool:
    """Labelled cases first, then unlabelled ones.

    images: uint8 [N, S, S], letter-boxed. masks: uint8 [N, S, S], class indices, zeros where unknown.
    sectors: bool [N, S, S]. known: bool [N], is there a mask, annotated or by the filter.
    pixel_mm: edge of a canvas pixel, or None. devices: names, or None. labelled: how many cases are labelled.
    """

    images: Tensor
    masks: Tensor
    sectors: Tensor
    known: Tensor
    pixel_mm: tuple[float | None, ...]
    devices: tuple[str | None, ...]
    labelled: int

    @property
    def grey(self) -> tuple[float, float]:
        """Mean and standard deviation of the images in [-1, 1]."""
        return grey_statistics(self.images)


@dataclass(frozen=True)
class Batch:
    """images: float [B, 1, S, S], standardised to sigma_data. planes: [B, P, S, S]. noise: as images. sigma: [B]."""

    images: Tensor
    planes: Tensor
    noise: Tensor
    sigma: Tensor

    def to(self, device) -> "Batch":
        return Batch(*(part.to(device) for part in (self.images, self.planes, self.noise, self.sigma)))

    def split(self, count: int) -> list["Batch"]:
        """``count`` equal parts in order."""
        parts = (part.chunk(count) for part in (self.images, self.planes, self.noise, self.sigma))
        return [Batch(*part) for part in zip(*parts, strict=True)]


def build_pool(labelled: Sequence[Case], unlabelled: Sequence[Case], size: int) -> Pool:
    """Letter-box every case once; an unlabelled case may carry a pseudo-mask."""
    cases = [*labelled, *unlabelled]
    images = np.stack([letterbox(case.image, size)[0] for case in cases])
    empty = np.zeros((size, size), dtype=np.uint8)
    masks = [empty if case.mask is None else letterbox(case.mask, size, mask=True)[0] for case in cases]
    scales = [Letterbox.fit(case.image.shape, size).scale for case in cases]
    return Pool(
        images=torch.from_numpy(images),
        masks=torch.from_numpy(np.stack(masks)),
        sectors=torch.from_numpy(np.stack([field_of_view(image) for image in images])),
        known=torch.tensor([case.mask is not None for case in cases]),
        pixel_mm=tuple(c.pixel_mm / scale if c.pixel_mm else None for c, scale in zip(cases, scales, strict=True)),
        devices=tuple(case.device for case in cases),
        labelled=len(labelled),
    )


def grey_statistics(images: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of uint8 images, on the scale of [-1, 1]."""
    values = images.to(torch.float64) / 127.5 - 1
    return float(values.mean()), float(values.std(correction=0))


def training_batch(
    pool: Pool, condition: Condition, grey: tuple[float, float], params: Diffusion, seed: int, step: int,
    part: int = 0, parts: int = 1,
) -> Batch:  # fmt: skip
    """Part ``part`` of ``parts`` of the batch of a step: random numbers are drawn for the whole batch, so that the
    parts together are the batch, however many processes share it.

    Args:
        grey: mean and standard deviation the images are standardised by.
    """
    generator = seeds.torch_generator(seed, "batch", step)
    size, count = pool.images.shape[-1], params.batch
    chosen = choose(pool, count, params.unlabelled_share, generator)
    changes, flips = draw_changes(count, params.augment, generator)
    unknown = torch.rand(count, generator=generator) < params.mask_dropout
    # Pixel size and device are withheld as often, so that they too may be unknown.
    withheld = torch.rand(count, generator=generator) < params.mask_dropout
    noise = torch.randn(count, 1, size, size, generator=generator)
    sigma = _noise_levels(params, generator)

    own = slice(part * count // parts, (part + 1) * count // parts)
    chosen, changes, flips, unknown, withheld = (x[own] for x in (chosen, changes, flips, unknown, withheld))
    # One map for both label images: the sector is a high bit of the mask.
    coded = pool.masks[chosen].short() + SECTOR_BIT * pool.sectors[chosen]
    images, coded = apply_changes(
        pool.images[chosen][:, None].float() / 127.5 - 1, coded, changes, flips, params.augment
    )
    magnified = torch.exp(changes[:, 1] * params.augment.scale)
    constants = condition.constants(
        len(chosen),
        augmentation=changes if condition.augmentation else None,
        pixel_mm=[
            mm / float(by) if (mm := pool.pixel_mm[i]) and not hidden else None
            for i, by, hidden in zip(chosen, magnified, withheld, strict=True)
        ],
        devices=[None if hidden else pool.devices[i] for i, hidden in zip(chosen, withheld, strict=True)],
    )
    planes = condition.planes(coded % SECTOR_BIT, coded >= SECTOR_BIT, constants)
    unknown |= ~pool.known[chosen]
    planes[unknown] = condition.without_mask(planes[unknown])
    mean, std = grey
    return Batch((images - mean) / std * params.sigma_data, planes, noise[own], sigma[own])


def choose(pool: Pool, count: int, unlabelled_share: float, generator: torch.Generator) -> Tensor:
    """Indices [count]: labelled cases, and in ``unlabelled_share`` of them unlabelled ones where there are any."""
    others = len(pool.images) - pool.labelled
    n_others = round(count * unlabelled_share) if others else 0
    labelled = torch.randint(pool.labelled, (count - n_others,), generator=generator)
    if not n_others:
        return labelled
    return torch.cat([pool.labelled + torch.randint(others, (n_others,), generator=generator), labelled])


def _noise_levels(params: Diffusion, generator: torch.Generator) -> Tensor:
    """σ [batch], log-normal (p_mean, p_std), stratified over the batch: less variance between steps."""
    count = params.batch
    quantile = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
    return (params.p_mean + params.p_std * torch.special.ndtri(quantile.clamp(1e-4, 1 - 1e-4))).exp()
