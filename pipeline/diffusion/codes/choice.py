"""The code that the parameters ask for, fitted to the images at hand."""

from pathlib import Path

from torch import Tensor

from pipeline.config.views import CodeSection
from pipeline.diffusion.codes.code import Code, darkened
from pipeline.diffusion.codes.linear import LinearCode
from pipeline.diffusion.codes.pixel import PixelCode
from pipeline.diffusion.codes.taef2 import Taef2Code, open_taef2
from pipeline.diffusion.codes.vae import VaeCode, open_vae

CODES = {kind.__name__: kind for kind in (PixelCode, LinearCode, Taef2Code, VaeCode)}
"""By the name that a folder of views has of its code."""


def fitted_code(section: CodeSection, images: Tensor, sectors: Tensor) -> Code:
    """A code, fitted to and standardised on the images an arm may see. No label is read.

    Args:
        images: uint8 [N, S, S]. sectors: bool [N, S, S].

    Raises:
        InputError: weights that are missing, damaged or of another architecture; see ``views.code``.
    """
    code = _unfitted(section, images.shape[-1])
    pixels = darkened(images[:, None].float() / 127.5 - 1, sectors, code.headroom)
    if isinstance(code, LinearCode):
        code.fit(pixels)
    code.standardise(pixels, getattr(section, "whitening", 0.0))
    return code.requires_grad_(False).eval()


def _unfitted(section: CodeSection, size: int) -> Code:
    if section.kind == "pixel":
        return PixelCode(section.patch)
    if section.kind == "linear":
        return LinearCode(size, section.block, section.components, section.lapped)
    if section.kind == "taef2":
        return open_taef2(Path(section.encoder), Path(section.decoder))
    return open_vae(Path(section.weights))


def weights_of(section: CodeSection) -> list[Path]:
    """Files and folders of weights that a code needs."""
    names = {"taef2": ("encoder", "decoder"), "vae": ("weights",)}.get(section.kind, ())
    return [Path(getattr(section, name)) for name in names]
