"""Two networks that teach each other by pseudo-labels, and by contrast.

Chen et al., "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision", CVPR 2021; with a contrastive term
between the networks as in arXiv 2503.17057.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.learning.objective import Batch
from pipeline.learning.segmentation import mean_loss, one_hot
from pipeline.networks.outputs import outputs_of, structure_probabilities
from pipeline.semi_supervision.contrast import Projection, info_nce
from pipeline.semi_supervision.objective import SemiSupervised
from pipeline.semi_supervision.targets import (
    confidence,
    hard_labels,
    joined,
    last,
    pseudo_label_loss,
    sliced,
    soft_dice_loss,
)


class CrossPseudo(SemiSupervised):
    """Keeps the segmenter of the cell, not its partner.

    Args:
        partner: a network for the same inputs and structures.
    """

    def __init__(self, *args, partner: nn.Module, **options):
        super().__init__(*args, **options)
        own, method = self.labelled.network, self.method
        self.network = Pair(own, partner, method.batch_norm == "joint", method.contrast and method.contrast.dimension)

    def views(self, count: int, generator: torch.Generator) -> Sequence[Tensor]:
        """Weak views, the numbers of their images, and the masks of simulated images."""
        numbers, weak, truth = self.unlabelled.draw(count, generator)
        return weak, numbers, truth

    def batch(self, step: int, count: int, generator: torch.Generator, share: slice) -> Batch:
        again = generator.clone_state()
        batch = super().batch(step, count, generator, share)
        # The labelled cases' numbers, below 0: none is an unlabelled image's.
        return *batch, -1 - self.labelled.chosen(step, count, again)[share]

    def loss(
        self, model: nn.Module, images: Tensor, masks: Tensor, ramp: Tensor,
        other: Tensor, numbers: Tensor, truth: Tensor, labelled_numbers: Tensor,
    ) -> Tensor:  # fmt: skip
        count, method = len(images), self.method
        *outputs, representations = model(images, other)
        kinds = [outputs_of(network) for network in self.network.networks]
        found = [structure_probabilities(last(own).detach(), kind) for own, kind in zip(outputs, kinds, strict=True)]
        hard = [hard_labels(probability, kind) for probability, kind in zip(found, kinds, strict=True)]
        wanted, crossed, labelled = one_hot(masks, self.n_structures), [], []
        for number, (own, kind, weights) in enumerate(zip(outputs, kinds, self.network.loss_weights, strict=True)):
            labelled.append(mean_loss(sliced(own, slice(count)), wanted, weights, kind))
            if method.targets == "hard":
                crossed.append(pseudo_label_loss(own, hard[1 - number], kind, weights=weights))
            else:
                crossed.append(soft_dice_loss(last(own), found[1 - number], kind))
        loss = sum(labelled) + ramp.mean() * method.weight * sum(crossed)
        others = {"disagreement": (hard[0] != hard[1]).float().mean()}
        if method.contrast:
            images = torch.cat([labelled_numbers, numbers])
            contrast = info_nce(*representations, images, method.contrast.temperature)
            loss = loss + ramp.mean() * method.contrast.weight * contrast
            others["contrast"] = contrast
        sure = confidence(found[1][count:], kinds[1])
        self.note(masks, hard[1][count:], torch.ones_like(sure), sure, truth, **others)
        return loss

    def passes(self, batch: int) -> dict[str, int]:
        return {"with_gradient": 4 * batch, "without_gradient": 0}


class Pair(nn.Module):
    """Two networks on the same images in one call, and projections of their coarsest features for contrast.

    Args:
        dimension: of the projections; None for none.
    """

    def __init__(self, own: nn.Module, partner: nn.Module, joint: bool, dimension: int | None):
        super().__init__()
        self.networks, self.joint = nn.ModuleList([own, partner]), joint
        heads = [] if dimension is None else [Projection(one.embedding_channels, dimension) for one in self.networks]
        self.heads = nn.ModuleList(heads)

    @property
    def loss_weights(self) -> list[list[float] | None]:
        """Of each network's outputs in training."""
        return [getattr(network, "loss_weights", None) for network in self.networks]

    def forward(self, *parts: Tensor):
        """Each network's outputs for all parts as of one batch, and a list of their unit vectors [B, D], if any."""
        outputs, vectors = [], []
        for number, network in enumerate(self.networks):
            batches = [torch.cat(parts)] if self.joint else list(parts)
            features = [network.encode(images) for images in batches]
            decoded = [network.decode(one) for one in features]
            outputs.append(joined(decoded))
            if self.heads:
                vectors.append(self.heads[number](torch.cat([one[-1] for one in features])))
        return *outputs, vectors
