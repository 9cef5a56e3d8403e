"""Mean teacher: equal probabilities under strong and weak augmentation, from weights and from their average.

Tarvainen & Valpola, "Mean teachers are better role models", NeurIPS 2017; the student's view is a strong one.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.networks.outputs import structure_probabilities
from pipeline.semi_supervision.objective import Parts, SemiSupervised
from pipeline.semi_supervision.targets import confidence, hard_labels, last, sliced
from pipeline.semi_supervision.teacher import teacher_of


class MeanTeacher(SemiSupervised):
    """Keeps the teacher."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.network = Parts(self.labelled.network, self.method.batch_norm == "joint")
        self.teacher = teacher_of(self.labelled.network, self.method.ema_decay)
        self.memory["teacher"] = self.teacher

    def views(self, count: int, generator: torch.Generator) -> Sequence[Tensor]:
        """Weak views, strong views of them, and the masks of simulated images."""
        _, weak, truth = self.unlabelled.draw(count, generator)
        return weak, self.unlabelled.strengthen(weak, generator), truth

    def loss(
        self, model: nn.Module, images: Tensor, masks: Tensor, ramp: Tensor, weak: Tensor, strong: Tensor, truth: Tensor
    ) -> Tensor:
        count = len(images)
        with torch.no_grad():
            wanted = structure_probabilities(self.teacher(weak), self.outputs)
        outputs = model(images, strong)
        found = structure_probabilities(last(outputs)[count:], self.outputs)
        away = (found - wanted).square().mean()
        pseudo, sure = hard_labels(wanted, self.outputs), confidence(wanted, self.outputs)
        self.note(masks, pseudo, torch.ones_like(sure), sure, truth)
        labelled = self.labelled_loss(sliced(outputs, slice(count)), masks)
        return labelled + ramp.mean() * self.method.weight * away

    def after_step(self, step: int) -> Mapping[str, float]:
        self.teacher.update_parameters(self.labelled.network)
        return super().after_step(step)

    def segmenter(self) -> nn.Module:
        return self.teacher.module

    def passes(self, batch: int) -> dict[str, int]:
        return {"with_gradient": 2 * batch, "without_gradient": batch}
