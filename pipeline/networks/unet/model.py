"""A U-Net on the encoder of an image classifier, to be fine-tuned: the baseline that SAM has to beat.

The network is that of segmentation-models-pytorch (Iakubovskii 2019); with MobileNetV2 it is the light U-Net of Wang et
al., "Evaluate Fine-tuning Strategies for Fetal Head Ultrasound Image Segmentation with U-Net" (arXiv 2307.09067).
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.canvas import Canvas, spelt
from pipeline.config.segmenters import UNetSegmenter
from pipeline.imaging.canvas import sides
from pipeline.run.errors import InputError, in_one_line

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's, of every encoder that is not timm's."""


class BackboneUNet(nn.Module):
    """Grey images → logits of every structure; random weights from torch's global generator.

    Args:
        settings: ``base.backbone``, an encoder of segmentation-models-pytorch (``tu-<name>`` for one of timm);
            ``base.input_channels``, 1 to 3 copies of the grey value, normalised as the classifier's training images
            were; ``decoder_channels``, features of the five decoder blocks, the coarsest first; ``deep_supervision``,
            in training, masks of the coarser decoder blocks too, the final one last; ``outputs``, what the logits
            stand for. An encoder that takes one size only, such as Swin's, is built for ``base.image_size``.

    Raises:
        InputError: no such encoder, or one without five levels.
    """

    def __init__(self, settings: UNetSegmenter, n_structures: int):
        super().__init__()
        import segmentation_models_pytorch as smp

        backbone, channels = settings.base.backbone, settings.decoder_channels
        _check_known(backbone, list(smp.encoders.encoders))
        inputs = settings.base.input_channels
        options = {"in_channels": inputs, "decoder_channels": channels, "classes": n_structures}
        try:
            if _made_for(backbone):
                options["img_size"] = settings.base.image_size
            # Nearest neighbours leave steps of two pixels in the outline.
            self.unet = smp.Unet(backbone, encoder_weights=None, decoder_interpolation="bilinear", **options)
        except Exception as error:  # an encoder can be unfit in many ways
            raise InputError(
                f"base.backbone '{backbone}' makes no U-Net of five levels ({in_one_line(error)}); name another"
            ) from None
        self.backbone, self.n_structures, self.outputs = backbone, n_structures, settings.outputs
        mean, std = normalisation(backbone)
        self.register_buffer("mean", torch.tensor(_channels(mean, inputs))[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(_channels(std, inputs))[:, None, None], persistent=False)
        self.heads = nn.ModuleList()
        if settings.deep_supervision:
            # The two coarsest levels hold too few pixels to tell an outline.
            self.heads.extend(nn.Conv2d(width, n_structures, 1) for width in channels[2:-1])
        self._still: tuple[nn.Module, ...] = ()
        self.to(memory_format=torch.channels_last)

    @property
    def encoder(self) -> nn.Module:
        return self.unet.encoder

    @property
    def loss_weights(self) -> list[float]:
        """Of the outputs in training: a level of half the resolution counts half, as in nnU-Net; together 1."""
        halvings = [0.5**level for level in range(len(self.heads), -1, -1)]
        return [weight / sum(halvings) for weight in halvings]

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """float [B, 1, H, W] in [-1, 1], sides multiples of 32 → logits [B, n_structures, H, W].

        In training with deep supervision a tuple of such, coarse ones enlarged, the final one last.
        """
        return self.decode(self.encode(images))

    @property
    def embedding_channels(self) -> int:
        """Channels of the coarsest features."""
        return self.encoder.out_channels[-1]

    def encode(self, images: Tensor) -> list[Tensor]:
        """The encoder's five levels, [B, C_i, H / 2^i, W / 2^i] for i from 1 to 5; one may have no channels."""
        return self.unet.encoder(((images + 1) / 2 - self.mean) / self.std)[1:]

    def decode(self, features: Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
        """Logits as of :meth:`forward` of what :meth:`encode` made."""
        *finer, coarsest = features
        size = [2 * length for length in features[0].shape[-2:]]
        x, decoded = self.unet.decoder.center(coarsest), []
        for block, skip in zip(self.unet.decoder.blocks, [*finer[::-1], None], strict=True):
            x = block(x, *(size if skip is None else skip.shape[-2:]), skip)
            decoded.append(x)
        final = self.unet.segmentation_head(x)
        if not (self.training and len(self.heads)):
            return final
        coarse = (head(level) for head, level in zip(self.heads, decoded[2:-1], strict=True))
        scaling = {"size": size, "mode": "bilinear", "align_corners": False}
        return (*(functional.interpolate(logits, **scaling) for logits in coarse), final)

    def keep_still(self, modules: Iterable[nn.Module]) -> None:
        """Leave the batch statistics of ``modules`` as they are, in training too."""
        self._still = tuple(modules)
        self.train(self.training)

    def train(self, mode: bool = True) -> "BackboneUNet":
        super().train(mode)
        for module in self._still:
            module.eval()
        return self


def check_usable(network: BackboneUNet, image_size: Canvas) -> None:
    """Raise InputError where the network does not turn an image of this size into masks of the same size."""
    images = torch.zeros(2, 1, *sides(image_size))
    try:
        with torch.no_grad():
            found = list(network.eval()(images).shape[2:])
        reason = None if found == list(sides(image_size)) else f"its masks have {found} pixels"
    except Exception as error:  # an encoder can be unfit in many ways
        reason = in_one_line(error)
    if reason:
        size = _made_for(network.backbone)
        raise InputError(
            f"base.backbone '{network.backbone}' does not work at base.image_size {spelt(image_size)} ({reason}); "
            + (f"set base.image_size to {size}, which it is made for, or " if size else "raise base.image_size, or ")
            + "name another, such as mobilenet_v2"
        )


def _check_known(backbone: str, encoders: Sequence[str]) -> None:
    import timm

    # timm would look up other names, those with a colon among them, on the Hub.
    of_timm = backbone.startswith("tu-") and ":" not in backbone and timm.is_model(backbone.removeprefix("tu-"))
    if of_timm or backbone in encoders:
        return
    known = [*encoders, *(f"tu-{name}" for name in timm.list_models())]
    near = [f"tu-{backbone}"] if timm.is_model(backbone) else get_close_matches(backbone, known, n=3)
    raise InputError(
        f"base.backbone '{backbone}' is not known, so it makes no U-Net; "
        f"e.g. {', '.join(near or ['mobilenet_v2', 'resnet18', 'mit_b0'])}"
    )


def _made_for(backbone: str) -> int | None:
    """The input size, in pixels, of an encoder of timm that takes one size only, told when it is built."""
    about = _said_by_timm(backbone)
    return about.input_size[-1] if about is not None and about.fixed_input_size else None


def _said_by_timm(backbone: str):
    """How timm's own weights of an encoder were trained; None of one that is not timm's."""
    import timm

    return timm.get_pretrained_cfg(backbone.removeprefix("tu-")) if backbone.startswith("tu-") else None


def normalisation(backbone: str) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation, of grey values in [0, 1], that the classifier's training images were given: what
    timm says of its own (0.5 and 0.5 of Lite0), ImageNet's of all others.
    """
    about = _said_by_timm(backbone)
    return (MEAN, STD) if about is None else (about.mean, about.std)


def _channels(values: Sequence[float], count: int) -> list[float]:
    """Of three colours; one channel has their mean."""
    return list(values[:count]) if count > 1 else [sum(values) / len(values)]
