"""What of a SAM is trained: the decoder, LoRA in encoder and decoder, or everything.

Hu et al., "LoRA", ICLR 2022; for SAM as in SAMed (Zhang & Liu 2023): adapters in the attention of encoder and decoder,
while what makes masks is trained as it is.
"""

from torch import nn

from pipeline.networks.sam.model import Sam

STRATEGIES = ("decoder", "lora", "full")
# The encoder's query, key and value are one matrix; the decoder's are three.
LORA_TARGETS = (
    r"vision_encoder\.layers\.\d+\.attn\.qkv"
    r"|mask_decoder\.transformer\.(layers\.\d+\.)?\w*attn\w*\.(q|k|v|out)_proj"
)


def choose_trained(network: Sam, strategy: str, lora_rank: int | None = None) -> None:
    """Set ``requires_grad`` of every parameter, adding adapters for ``lora``; :func:`merge` folds them in again.

    decoder: SAM's mask decoder, the "no mask" embedding that stands for a prompt, and the finer mask head.
    lora: adapters of ``lora_rank`` in the attention of encoder and decoder; the decoder's mask tokens, upscaling and
        hypernetworks, the "no mask" embedding and the finer mask head as they are.
    full: everything.

    Never trained: the random position code, and what has no part in the masks (the quality head, the hypernetworks of
    unused tokens, the embeddings of prompts that are not given).
    """
    network.requires_grad_(False)
    if strategy == "lora":
        from peft import LoraConfig, inject_adapter_in_model

        adapters = LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, target_modules=LORA_TARGETS)
        inject_adapter_in_model(adapters, network.sam)
    for module in _trained_modules(network, strategy):
        module.requires_grad_(True)
    if strategy == "full" and network.prompt != "none":
        for corner in network.sam.prompt_encoder.point_embed[2:4]:
            corner.requires_grad_(True)
    freeze_unused(network)


def freeze_unused(network: Sam) -> None:
    """Freeze what has no part in the masks of the decoder: its quality head, and the masks that nobody reads."""
    decoder = network.sam.mask_decoder
    unused = [decoder.iou_prediction_head, *decoder.output_hypernetworks_mlps[network.n_structures :]]
    if network.head_alone:
        unused += [decoder.upscale_conv1, decoder.upscale_layer_norm, decoder.upscale_conv2]
        unused += [decoder.output_hypernetworks_mlps]
    for module in unused:
        module.requires_grad_(False)


def _trained_modules(network: Sam, strategy: str) -> list[nn.Module]:
    decoder, prompts = network.sam.mask_decoder, network.sam.prompt_encoder
    head = network.mask_head
    if strategy == "lora" and network.head_alone:
        # The compact SAM's convolutions take no adapters.
        head.append(network.pyramid)
    if strategy == "lora":
        masks = [decoder.iou_token, decoder.mask_tokens, decoder.upscale_conv1, decoder.upscale_layer_norm,
                 decoder.upscale_conv2, decoder.output_hypernetworks_mlps]  # fmt: skip
        return [*masks, prompts.no_mask_embed, *head]
    if strategy == "decoder":
        return [decoder, prompts.no_mask_embed, *head]
    return [decoder, prompts.no_mask_embed, *network.image_encoder, *head]


def merge(network: Sam) -> None:
    """Fold the adapters into the weights they adapt, so that a plain SAM is left."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in list(network.sam.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(network.sam.get_submodule(parent), child, layer.get_base_layer())
