"""Fixed pseudo-labels: the label-budget filter's masks are trained on beside the labels (Lee, ICML Workshops 2013)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.learning.segmentation import one_hot
from pipeline.semi_supervision.objective import Parts, SemiSupervised
from pipeline.semi_supervision.targets import pseudo_label_loss, sliced


class Pseudo(SemiSupervised):
    """``unlabelled`` has pseudo-masks, and images without one are not among it."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.network = Parts(self.labelled.network, self.method.batch_norm == "joint")

    def share(self, step: int) -> float:
        return 1.0

    def views(self, count: int, generator: torch.Generator) -> Sequence[Tensor]:
        _, images, masks = self.unlabelled.draw(count, generator)
        return images, masks

    def beside(self, model: nn.Module, images: Tensor, masks: Tensor, ramp: Tensor, other: Tensor, found: Tensor):
        count = len(images)
        outputs = model(images, other)
        target = one_hot(found, self.n_structures)
        sure = torch.ones_like(target[:, :1])
        self.found = self.monitor.look(one_hot(masks, self.n_structures), target[None], sure, sure)
        unlabelled = pseudo_label_loss(
            sliced(outputs, slice(count, None)), target, self.outputs, weights=self.loss_weights
        )
        return self.labelled.loss_of(sliced(outputs, slice(count)), masks) + self.method.weight * unlabelled
