"""Image embeddings on disk: a frozen encoder sees each image once, however many arms, steps and cells use it.

A store is a folder of this machine, outside the outputs: one file per image, named by a digest of its pixels, under one
folder per encoder. Reading what is not there encodes it, so that a result never depends on what is stored.
"""

import hashlib
import io
import logging
import math
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.imaging.letterbox import to_uint8, to_unit_range
from pipeline.networks.sam.checkpoint import base_digest
from pipeline.networks.sam.model import Sam
from pipeline.run import files
from pipeline.run.errors import InputError

DTYPE = np.float16
log = logging.getLogger("pipeline.embeddings")


class EmbeddingStore:
    """The embeddings of one frozen encoder.

    Args:
        root: folder of the stores of all encoders.
        base: folder of the SAM whose encoder it is.
        network: that SAM, at the input size in use; it encodes what is not stored yet.
    """

    def __init__(self, root: Path, base: Path, network: Sam):
        self.network = network
        self.folder = root / "-".join([base_digest(base), *map(str, dict.fromkeys(network.shape))])

    def add(self, images: Sequence[np.ndarray]) -> list[str]:
        """Names of the images, float32 (1, H, W) in [-1, 1]; what is new is encoded.

        Raises:
            InputError: too little room on the disk.
        """
        named = {self._name(image): image for image in images}
        missing = [name for name in named if not self._path(name).exists()]
        if missing:
            self._check_room(len(missing))
        for name in missing:
            self._encode(name, named[name])
        return self.names(images)

    def names(self, images: Sequence[np.ndarray]) -> list[str]:
        """Names of images, encoded or not."""
        return [self._name(image) for image in images]

    def embedding(self, name: str) -> np.ndarray:
        """float16 (C, h, w), what the encoder made of an image."""
        return self._read(name)["embedding"]

    def image(self, name: str) -> np.ndarray:
        """float32 (1, H, W) in [-1, 1], the image itself at 8 bits; for networks that look at pixels too."""
        return to_unit_range(self._read(name)["image"])[None]

    def embeddings(self, images: np.ndarray) -> np.ndarray:
        """float16 (N, C, h, w) of float32 (N, 1, H, W) images in [-1, 1]."""
        return np.stack([self.embedding(name) for name in self.add(list(images))])

    @torch.inference_mode()
    def _encode(self, name: str, image: np.ndarray) -> None:
        # One image at a time: beside others its last bits would depend on which of them were stored already.
        network, was_training = self.network, self.network.training
        x = torch.from_numpy(image)[None].to(next(network.parameters()).device)
        arrays = {"embedding": network.eval().embed(x)[0].float().cpu().numpy().astype(DTYPE)}
        network.train(was_training)
        if network.detail is not None:
            arrays["image"] = to_uint8(image[0])
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        files.write_bytes(self._path(name), buffer.getvalue())

    def _read(self, name: str):
        try:
            return np.load(self._path(name))
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{self._path(name)}: cannot be read ({error}); remove {self.folder}") from None

    def _check_room(self, count: int) -> None:
        vision = self.network.sam.config.vision_config
        row = vision.output_channels * math.prod(self.network.grid) * np.dtype(DTYPE).itemsize
        need = count * (row + (0 if self.network.detail is None else math.prod(self.network.shape)))
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        log.info("%d images to encode: %.2f GB, %.0f GB free", count, need / 1e9, free / 1e9)
        if need > free:
            raise InputError(
                f"{self.folder}: embeddings of {count} images need {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
                "lower the segmenter's views or base.image_size, or train 'lora'"
            )

    def _name(self, image: np.ndarray) -> str:
        return hashlib.sha256(np.ascontiguousarray(image, np.float32).tobytes()).hexdigest()[:40]

    def _path(self, name: str) -> Path:
        return self.folder / name[:2] / f"{name}.npz"
