"""Mean teacher: equal probabilities under strong and weak augmentation, from weights and from their average.

Tarvainen & Valpola, "Mean teachers are better role models", NeurIPS 2017; the student's view is a strong one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.networks.outputs import structure_probabilities
from pipeline.semi_supervision.objective import Parts
from pipeline.semi_supervision.targets import confidence, hard_labels, last, sliced
from pipeline.semi_supervision.teacher import Taught


class MeanTeacher(Taught):
    """Keeps the teacher."""

    PASSES = (2, 1)

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.network = Parts(self.labelled.network, self.method.batch_norm == "joint")

    def views(self, count: int, generator: torch.Generator) -> Sequence[Tensor]:
        """Weak views, strong views of them, and the masks of simulated images."""
        _, weak, truth = self.unlabelled.draw(count, generator)
        return weak, self.unlabelled.strengthen(weak, generator), truth

    def beside(
        self, model: nn.Module, images: Tensor, masks: Tensor, ramp: Tensor, weak: Tensor, strong: Tensor, truth: Tensor
    ) -> Tensor:
        count = len(images)
        with torch.no_grad():
            wanted = self.taught(weak)
        outputs = model(images, strong)
        found = structure_probabilities(last(outputs)[count:], self.outputs)
        away = (found - wanted).square().mean()
        pseudo, sure = hard_labels(wanted, self.outputs), confidence(wanted, self.outputs)
        self.note(masks, pseudo, torch.ones_like(sure), sure, truth)
        labelled = self.labelled.loss_of(sliced(outputs, slice(count)), masks)
        return labelled + ramp.mean() * self.method.weight * away
