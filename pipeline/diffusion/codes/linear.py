"""A linear code: principal components of lapped blocks, fitted to the images at hand; nobody's weights are needed.

Blocks that are coded alone show their edges as soon as a code is not exact. So the pixels on both sides of every border
between blocks are mixed first, by an orthogonal map (the pre-filter of a lapped transform; Malvar and Staelin 1989,
Tran, Liang and Tu 2003), and the blocks of what comes out are coded. All of it together is orthogonal, so that decoding
is the transpose, and what a component draws reaches over the borders and fades out.
"""

import math

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor
from torch.nn import functional

from pipeline.diffusion.codes.code import BATCH, HEADROOM, Code


class LinearCode(Code, ModelMixin, ConfigMixin):
    """The first ``components`` principal components of blocks of ``block`` × ``block`` pixels."""

    config_name = "config.json"
    headroom = HEADROOM

    @register_to_config
    def __init__(self, image_size: int, block: int, components: int, lapped: bool):
        super().__init__()
        self._channels(components, block)
        self.register_buffer("basis", torch.eye(block**2)[:components].clone())
        self.register_buffer("mixing", lapping(image_size, block if lapped else 0), persistent=False)

    def fit(self, images: Tensor) -> None:
        """Principal components, the largest variance first, of the blocks of images float [N, 1, S, S] in [-1, 1]."""
        total, count = torch.zeros(self.factor**2, self.factor**2, dtype=torch.float64), 0
        for part in images.split(BATCH):
            blocks = self._blocks(part).double().movedim(1, -1).flatten(0, -2)
            blocks = blocks - blocks.mean(dim=0)
            total += blocks.T @ blocks
            count += len(blocks)
        vectors = torch.linalg.eigh(total / count).eigenvectors.flip(1)[:, : self.channels].T
        # Of the two signs that with the largest entry above zero: the same on every machine.
        largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
        self.basis.copy_(vectors * largest.sign())

    def raw(self, images: Tensor) -> Tensor:
        return functional.conv2d(self._blocks(images), self.basis[:, :, None, None])

    def images(self, raw: Tensor) -> Tensor:
        blocks = functional.conv2d(raw, self.basis.T[:, :, None, None].contiguous())
        mixed = functional.pixel_shuffle(blocks, self.factor)
        return self.mixing.T @ mixed @ self.mixing

    def _blocks(self, images: Tensor) -> Tensor:
        """float [B, b², S/b, S/b]: the pixels of each block, after mixing."""
        return functional.pixel_unshuffle(self.mixing @ images @ self.mixing.T, self.factor)


def lapping(size: int, block: int) -> Tensor:
    """float [size, size], orthogonal: what mixes the pixels on both sides of every border between blocks.

    With J the reversal and V = J C2ᵀ C4 J, of the cosine transforms of types II and IV of half a block, the pixels of
    half a block before a border and half a block after it go through  ½ [[I, J], [J, -I]] diag(I, V) [[I, J], [J, -I]].
    The outermost half blocks have no neighbour and stay. A block of 0 mixes nothing.
    """
    matrix = np.eye(size)
    if not block:
        return torch.from_numpy(matrix.astype(np.float32))
    half = block // 2
    flip, eye = np.eye(half)[::-1], np.eye(half)
    v = flip @ _cosine(half, 2).T @ _cosine(half, 4) @ flip
    butterfly = np.block([[eye, flip], [flip, -eye]])
    mixed = butterfly @ np.block([[eye, 0 * eye], [0 * eye, v]]) @ butterfly / 2
    for border in range(block, size, block):
        inside = slice(border - half, border + half)
        matrix[inside, inside] = mixed
    return torch.from_numpy(matrix.astype(np.float32))


def _cosine(size: int, kind: int) -> np.ndarray:
    """The orthonormal cosine transform of type II or IV, one frequency a row."""
    places = np.arange(size) + 0.5
    frequencies = np.arange(size) + (0.5 if kind == 4 else 0)
    matrix = math.sqrt(2 / size) * np.cos(np.pi / size * frequencies[:, None] * places)
    if kind == 2:
        matrix[0] /= math.sqrt(2)
    return matrix
