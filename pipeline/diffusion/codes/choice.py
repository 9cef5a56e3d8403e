"""The code that the parameters ask for, fitted to the images at hand."""

from pathlib import Path

from torch import Tensor

from pipeline.config.views import CodeSection
from pipeline.diffusion.codes.code import Code
from pipeline.diffusion.codes.linear import LinearCode
from pipeline.diffusion.codes.pixel import PixelCode
from pipeline.diffusion.codes.taef2 import Taef2Code, open_taef2
from pipeline.diffusion.codes.vae import VaeCode, open_vae

CODES = {kind.__name__: kind for kind in (PixelCode, LinearCode, Taef2Code, VaeCode)}
"""By the name that a folder of views has of its code."""


def fitted_code(section: CodeSection, images: Tensor) -> Code:
    """A code, standardised on ``images``, uint8 [N, S, S]: those an arm may see. No label is read.

    Raises:
        InputError: weights that are missing, damaged or of another architecture; see ``views.code``.
    """
    code: Code
    if section.kind == "pixel":
        code = PixelCode(section.patch)
    elif section.kind == "linear":
        code = LinearCode(images.shape[-1], section.block, section.components, section.lapped)
        code.fit(images)
    elif section.kind == "taef2":
        code = open_taef2(Path(section.encoder), Path(section.decoder))
    else:
        code = open_vae(Path(section.weights))
    code.standardise(images, getattr(section, "whitening", 0.0))
    return code.requires_grad_(False).eval()


def weights_of(section: CodeSection) -> list[Path]:
    """Files and folders of weights that a code needs."""
    names = {"taef2": ("encoder", "decoder"), "vae": ("weights",)}.get(section.kind, ())
    return [Path(getattr(section, name)) for name in names]
