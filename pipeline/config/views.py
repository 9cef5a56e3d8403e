"""The section ``views`` of ``params.yaml``: what a generator is trained on, and the code it is trained in."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.section import Fraction, NonNegative, Positive, Section, Share


class ViewAugment(Section):
    """Augmentation of views (see diffusion/denoiser/augmentation.py); each kind with ``probability``."""

    probability: Fraction
    conditioned: bool
    flip: bool
    rotate_deg: NonNegative
    scale: Share
    aspect: Share
    shift: Share
    brightness: Share
    contrast: Share
    gamma: Annotated[float, Field(ge=0, lt=2)]

    @model_validator(mode="after")
    def _nothing_done_is_seen(self):
        if self.conditioned and self.probability == 1:
            raise ValueError("with conditioned, probability must be below 1: sampling asks for images as they are")
        return self


class PixelCodeSection(Section):
    """Pixels, those of a patch of ``patch`` × ``patch`` as channels."""

    kind: Literal["pixel"]
    patch: Literal[1, 2, 4, 8]

    @property
    def factor(self) -> int:
        return self.patch


class Standardised(Section):
    """``whitening``: see diffusion/codes/code.py."""

    whitening: Fraction


class LinearCodeSection(Standardised):
    """The first ``components`` principal components of blocks of ``block`` × ``block`` pixels, ``lapped`` or not."""

    kind: Literal["linear"]
    block: Literal[4, 8, 16]
    components: Positive
    lapped: bool

    @property
    def factor(self) -> int:
        return self.block

    @model_validator(mode="after")
    def _there_are_so_many(self):
        if self.components > self.block**2:
            raise ValueError(f"components: blocks of {self.block} px have {self.block**2}")
        return self


class Taef2CodeSection(Standardised):
    """The tiny autoencoder of FLUX.2: the files of its encoder and decoder."""

    kind: Literal["taef2"]
    encoder: str
    decoder: str

    @property
    def factor(self) -> int:
        return 8


class VaeCodeSection(Standardised):
    """The autoencoder of a Stable Diffusion. ``weights``: the folder of an AutoencoderKL in diffusers form."""

    kind: Literal["vae"]
    weights: str

    @property
    def factor(self) -> int:
        return 8


CodeSection = Annotated[
    PixelCodeSection | LinearCodeSection | Taef2CodeSection | VaeCodeSection, Field(discriminator="kind")
]


class Views(Section):
    """What every generator's images are: their size, and which of them come without a label."""

    image_size: Annotated[int, Field(ge=16, multiple_of=16)]
    unlabelled: Literal["none", "null_mask", "pseudo_mask"]


class EncodedViews(Views):
    """``count`` augmented views of every image, encoded once: for the backend 'denoiser'."""

    kind: Literal["encoded"]
    count: Positive
    code: CodeSection
    augment: ViewAugment

    @model_validator(mode="after")
    def _grid_fits(self):
        if self.image_size % self.code.factor:
            raise ValueError(f"image_size must be a multiple of {self.code.factor}, a cell of the code")
        return self

    @property
    def grid(self) -> int:
        """Cells along an edge of the code."""
        return self.image_size // self.code.factor


class PlainViews(Views):
    """The images as they are: for the backend 'stable_diffusion', which augments and encodes by itself."""

    kind: Literal["plain"]


ViewsSection = Annotated[EncodedViews | PlainViews, Field(discriminator="kind")]
