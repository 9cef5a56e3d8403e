"""What an extractor of features is, and how images are put before one."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.data.chunks import chunks
from pipeline.run.errors import InputError, in_one_line

BATCH = 16

Extractor = Callable[[Tensor], Tensor]
"""uint8 [B, 3, S, S], three equal channels → float [B, D]."""


@torch.inference_mode()
def extract(extractor: Extractor, images: Iterable[np.ndarray], device) -> Tensor:
    """Features of images, float32 (N, D) on the CPU, in their order.

    Args:
        images: uint8 (S, S), S the same for all. Each is asked for when its turn comes and not kept.

    Raises:
        InputError: there is no image.
    """
    parts = [
        extractor(torch.from_numpy(np.stack(chunk))[:, None].expand(-1, 3, -1, -1).to(device)).float().cpu()
        for chunk in chunks(images, BATCH)
    ]
    if not parts:
        raise InputError("no images to extract features from; score a set that holds some")
    return torch.cat(parts)


def domain_extractor(features: Callable[[Tensor], Tensor]) -> Extractor:
    """The extractor of a network of the project: ``features`` takes float [B, 1, S, S] in [-1, 1]."""
    return lambda x: features(x[:, :1].float() / 127.5 - 1)


def photograph_extractor(
    features: Callable[[Tensor], Tensor], size: tuple[int, int], mean: Sequence[float], std: Sequence[float], device
) -> Extractor:
    """The extractor of a network trained on photographs: images are resized, bicubic and anti-aliased, and normalised.

    Args:
        features: float [B, 3, H, W] → [B, D]. size: H and W. mean, std: of each channel of images in [0, 1].
    """
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (mean, std))

    def prepared(x: Tensor) -> Tensor:
        x = functional.interpolate(x.float(), size, mode="bicubic", align_corners=False, antialias=True)
        return features((x.clamp(0, 255) / 255 - mean) / std)

    return prepared


def refusal(
    name: str,
    reason: str,
    remedy: str,
    error: Exception | None = None,
    section: str = "score.extractors",
    otherwise: str = "null to do without",
) -> InputError:
    """The error of a key of ``section``; ``remedy`` says what to give, ``otherwise`` what to give instead.

    Args:
        reason: empty where what is wrong is said before the message.
    """
    why = "" if error is None else f" ({in_one_line(error)})"
    wrong = f"{reason}{why}; " if reason else ""
    return InputError(f"key '{section}.{name}': {wrong}give {remedy}, or {otherwise}")
