"""What the logits of a segmenter stand for: structures that are independent of each other, or that exclude each other.

``independent``: a sigmoid a structure. ``exclusive``: one softmax over background and structures. The background's
logit is 0: a softmax does not see what is added to all of its logits, so that a channel of its own would add nothing.
"""

import torch
from torch import Tensor, nn

from pipeline.config.section import Outputs


def outputs_of(network: nn.Module) -> Outputs:
    """What a network says of its logits; independent where it says nothing, as the small U-Nets."""
    return getattr(network, "outputs", "independent")


def structure_probabilities(logits: Tensor, outputs: Outputs) -> Tensor:
    """float [B, K, H, W] in [0, 1]; exclusive ones and the background's, which is left out, add up to 1.

    Args:
        logits: float [B, K, H, W], without the background.
    """
    return logits.sigmoid() if outputs == "independent" else with_background(logits).softmax(dim=1)[:, 1:]


def with_background(logits: Tensor) -> Tensor:
    """Logits of K structures [B, K, H, W] → of background and structures [B, 1 + K, H, W]."""
    return torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1)
