"""Nearest neighbours of images up to flips, shifts, small turns, small scalings and changes of grey level.

Two images are compared by one minus the largest normalised cross-correlation of their band-passed pixels: 0 is a copy,
about 1 is unrelated. No network is involved, so no training can blind it, and what it finds can be seen by eye. The
search is coarse to fine: every pair at half resolution over flips and shifts, then the closest few at full
resolution over shifts, turns and scalings as well.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

SIZE = 64
"""Pixels of a descriptor's edge."""
FINE_SIGMA, COARSE_SIGMA = 1.0, 4.0
"""The band: noise of single pixels is below it, the brightness of the sector above it."""
COARSE_REACH = 3
"""Shifts of the coarse search: up to this many pixels of the half resolution, each way."""
REACH = 8
"""Shifts of the fine search, in pixels of the full resolution."""
TURNS_DEG = (-7, 0, 7)
LOG_SCALES = (-0.08, 0.0, 0.08)
CANDIDATES = 4
_MIN_ENERGY = 0.6
_BLOCK = 64
_FLIPS = ((), (-1,), (-2,), (-2, -1))


class Neighbours(NamedTuple):
    """distance: float (N,), of every query to its nearest reference, in [0, 2]. nearest: int (N,), which one."""

    distance: np.ndarray
    nearest: np.ndarray


def descriptor(image: np.ndarray) -> np.ndarray:
    """float16 (64, 64): difference of Gaussians of a uint8 (64, 64) image, of mean 0 and norm 1.

    A uniform image has the zero descriptor.
    """
    from scipy.ndimage import gaussian_filter

    grey = image.astype(np.float32)
    band = gaussian_filter(grey, FINE_SIGMA) - gaussian_filter(grey, COARSE_SIGMA)
    band -= band.mean()
    return (band / max(float(np.linalg.norm(band)), 1e-3)).astype(np.float16)


@torch.inference_mode()
def nearest(queries: np.ndarray, references: np.ndarray, exclude: np.ndarray | None = None) -> Neighbours:
    """The nearest reference of every query.

    Args:
        queries, references: (N, 64, 64) and (M, 64, 64) of :func:`descriptor`.
        exclude: bool (N, M), pairs that do not count (an image and its own patient); each row leaves one pair.
    """
    blocks = torch.from_numpy(queries.astype(np.float32)).split(_BLOCK)
    excluded = [None] * len(blocks) if exclude is None else torch.from_numpy(exclude).split(_BLOCK)
    others = torch.from_numpy(references)
    found = [_nearest_of(block, others, pairs) for block, pairs in zip(blocks, excluded, strict=True)]
    distances, places = zip(*found, strict=True)
    return Neighbours(torch.cat(distances).numpy(), torch.cat(places).numpy())


def _nearest_of(queries: Tensor, references: Tensor, exclude: Tensor | None) -> tuple[Tensor, Tensor]:
    coarse, flips = _coarse(queries, references)
    if exclude is not None:
        coarse.masked_fill_(exclude, -torch.inf)
    values, places = coarse.topk(min(CANDIDATES, len(references)), dim=1)
    flip_of = flips.gather(1, places)
    fine = _fine(queries, references, places, flip_of).masked_fill_(values.isinf(), -torch.inf)
    best, rank = fine.max(dim=1)
    return (1 - best).clamp(0, 2), places.gather(1, rank[:, None])[:, 0]


def _coarse(queries: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Largest correlation over flips and shifts at half resolution, float [N, M], and the flip that gave it."""
    small = functional.avg_pool2d(queries[:, None], 2)[:, 0]
    parts = references[:, None].split(512)
    targets = torch.cat([_unit(functional.avg_pool2d(part.float(), 2)[:, 0]) for part in parts])
    best = torch.full((len(queries), len(references)), -1.0)
    flips = torch.zeros(best.shape, dtype=torch.long)
    padded = functional.pad(small, (COARSE_REACH,) * 4)
    size = small.shape[-1]
    for number, axes in enumerate(_FLIPS):
        flipped = padded.flip(axes) if axes else padded
        for top, left in product(range(2 * COARSE_REACH + 1), repeat=2):
            found = _unit(flipped[:, top : top + size, left : left + size]) @ targets.T
            better = found > best
            best = torch.where(better, found, best)
            flips[better] = number
    return best, flips


def _fine(queries: Tensor, references: Tensor, places: Tensor, flips: Tensor) -> Tensor:
    """Largest correlation of each candidate pair over shifts, turns and scalings at full resolution: float [N, K].

    What a shift moves out of the frame counts on neither side, as long as little of either image is lost.
    """
    edge = SIZE + REACH
    candidates = references[places.flatten()].float().unflatten(0, places.shape)
    spectra = torch.fft.rfft2(candidates, s=(edge, edge))
    energies = _overlap_energy(candidates)
    best = torch.full(places.shape, -1.0)
    for number, axes in enumerate(_FLIPS):
        chosen = flips == number
        rows = chosen.any(dim=1)
        if not rows.any():
            continue
        flipped = queries[rows].flip(axes) if axes else queries[rows]
        for matrix in _similarities():
            grid = functional.affine_grid(matrix.expand(len(flipped), 2, 3), [len(flipped), 1, SIZE, SIZE], False)
            moved = functional.grid_sample(flipped[:, None], grid, align_corners=False)[:, 0]
            product = torch.fft.rfft2(moved, s=(edge, edge)).conj()[:, None] * spectra[rows]
            correlation = torch.fft.irfft2(product, s=(edge, edge))
            correlation = correlation.roll((REACH, REACH), (-2, -1))[..., : 2 * REACH + 1, : 2 * REACH + 1]
            # A shift that brings one image's top rows under the other's bottom rows loses the opposite ones there.
            own, other = _overlap_energy(moved).flip(-2, -1)[:, None], energies[rows]
            kept = torch.minimum(own / own.amax((-2, -1), True), other / other.amax((-2, -1), True))
            value = correlation / (own * other).sqrt().clamp_min(1e-6)
            value = torch.where(kept >= _MIN_ENERGY, value, -1.0).amax(dim=(-2, -1))
            best[rows] = torch.where(chosen[rows], torch.maximum(best[rows], value), best[rows])
    return best


def _overlap_energy(images: Tensor) -> Tensor:
    """Energy of the part of each image (..., 64, 64) that overlaps a frame moved by -8 to 8 pixels: (..., 17, 17)."""
    total = functional.pad(images.square().cumsum(-2).cumsum(-1), (1, 0, 1, 0))
    shifts = torch.arange(-REACH, REACH + 1)
    start, stop = shifts.clamp_min(0), SIZE + shifts.clamp_max(0)

    def at(rows: Tensor, columns: Tensor) -> Tensor:
        return total.index_select(-2, rows).index_select(-1, columns)

    return (at(stop, stop) - at(start, stop) - at(stop, start) + at(start, start)).clamp_min(1e-12)


def _similarities() -> list[Tensor]:
    """float [2, 3] of every turn and scaling, as ``affine_grid`` wants them."""
    pairs = product(np.radians(TURNS_DEG), np.exp(LOG_SCALES))
    steps = [(np.cos(turn) / scale, np.sin(turn) / scale) for turn, scale in pairs]
    return [torch.tensor([[cos, -sin, 0], [sin, cos, 0]], dtype=torch.float32) for cos, sin in steps]


def _unit(x: Tensor) -> Tensor:
    return functional.normalize(x.flatten(1), eps=1e-3)
