"""The official SAM with small numbers, and the same weights in transformers."""

from functools import partial

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor
from transformers.models.sam.modeling_sam import SamModel

from pipeline.networks.sam.official import architecture, to_transformers
from pipeline.networks.sam.pretrained import at_resolution

SIZE, PATCH, WINDOW, HIDDEN, CHANNELS = 64, 8, 5, 48, 32


def official_sam(*, size=SIZE, patch=PATCH, window=WINDOW, hidden=HIDDEN, depth=3, heads=3) -> Sam:
    """Every tensor is random, so that a swapped pair shows; the window does not tile the grid."""
    torch.manual_seed(0)
    grid = size // patch
    sam = Sam(
        image_encoder=ImageEncoderViT(
            img_size=size,
            patch_size=patch,
            embed_dim=hidden,
            depth=depth,
            num_heads=heads,
            out_chans=CHANNELS,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=window,
            global_attn_indexes=(1,),
        ),
        prompt_encoder=PromptEncoder(CHANNELS, (grid, grid), (size, size), 16),
        mask_decoder=MaskDecoder(
            transformer_dim=CHANNELS,
            transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=64, num_heads=8),
            iou_head_hidden_dim=24,
        ),
    )
    with torch.no_grad():
        for weight in sam.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return sam.eval()


def in_transformers(official: Sam, image_size: int = SIZE, window: int | None = None) -> SamModel:
    state = official.state_dict()
    renamed = {to_transformers(key): value.clone() for key, value in state.items()}
    return at_resolution(architecture(state), renamed, image_size, window).eval()


def pictures(size: int = SIZE, count: int = 2) -> Tensor:
    """Noise in [-1, 1] that is exact in 8 bits."""
    grey = torch.randint(0, 256, (count, 1, size, size), generator=torch.Generator().manual_seed(1))
    return grey / 127.5 - 1


@torch.no_grad()
def official_embeddings(official: Sam, images: Tensor) -> Tensor:
    return official.image_encoder(official.preprocess((images.repeat(1, 3, 1, 1) + 1) * 127.5))


@torch.no_grad()
def official_masks(official: Sam, embeddings: Tensor, points=None, box: Tensor | None = None) -> Tensor:
    """Logits [B, 4, S, S] of all four mask tokens; the official decoder takes one image at a time."""
    sparse, dense = official.prompt_encoder(points=points, boxes=box, masks=None)
    masks = [
        official.mask_decoder.predict_masks(
            image_embeddings=embedding[None],
            image_pe=official.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
        )[0]
        for embedding in embeddings
    ]
    size = official.image_encoder.img_size
    return official.postprocess_masks(torch.cat(masks), (size, size), (size, size))


def sam_settings(base, train="full", **changes):
    """The section of a SAM on ``base``, with the options of its way of training."""
    from pydantic import TypeAdapter

    from pipeline.config.segmenters import SamSegmenter

    of_training = {"decoder": {"views": 1}, "lora": {"lora_rank": 4}, "full": {}}[train]
    if train != "decoder":
        of_training["checkpointing"] = False
    values = {"kind": "sam", "base": base, "train": train, "prompt": "none", "mixed_precision": "no", "steps": 20,
              "batch": 8, "learning_rate": 0.002, "weight_decay": 0.01, "warmup_steps": 5}  # fmt: skip
    if train == "decoder":
        changes.pop("checkpointing", None)
    return TypeAdapter(SamSegmenter).validate_python(values | of_training | changes)
