"""The encoder of deep tokens that the parameters name."""

from pathlib import Path

from pipeline.config.age import Encoder
from pipeline.features.tokens import LITE0, TokenEncoder, open_encoder


def open_age_encoder(settings: Encoder, device) -> TokenEncoder:
    """The encoder of ``age.encoder``.

    Raises:
        InputError: no such model, or weights that are missing or of another one.
    """
    name, weights = (LITE0, None) if settings.timm is None else (settings.timm.model, Path(settings.timm.weights))
    return open_encoder(name, weights, grid=settings.grid, device=device, section="age.encoder")
