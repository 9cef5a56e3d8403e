"""The average of past weights that teaches, and the objectives that have one."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pipeline.learning.average import newest_share
from pipeline.networks.outputs import structure_probabilities
from pipeline.semi_supervision.objective import SemiSupervised


def teacher_of(network: nn.Module, decay: float) -> AveragedModel:
    """θ' ← (1 − α) θ' + α θ after every step, α as :func:`newest_share` says, as in mean teacher (Tarvainen & Valpola
    2017); of running statistics the same average. In evaluation mode.
    """

    def averaged(old: Tensor, new: Tensor, past: Tensor) -> Tensor:
        # A count of batches is no number to average.
        return old + (new - old) * newest_share(int(past), decay) if old.is_floating_point() else new

    return AveragedModel(network, avg_fn=averaged, use_buffers=True).requires_grad_(False).eval()


class Taught(SemiSupervised):
    """An objective whose targets an average of the segmenter's past weights makes; the average is what is kept."""

    averages = True

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.teacher = teacher_of(self.labelled.network, self.method.ema_decay)
        self.memory["teacher"] = self.teacher

    def taught(self, images: Tensor) -> Tensor:
        """The teacher's probabilities, float [B, K, H, W]; to be asked for without a gradient."""
        return structure_probabilities(self.teacher(images), self.outputs)

    def after_step(self, step: int) -> Mapping[str, float]:
        self.teacher.update_parameters(self.labelled.network)
        return super().after_step(step)

    def segmenter(self) -> nn.Module:
        """The trained segmenter with the teacher's weights: of the teacher itself nothing counts as trained, and a kind
        of segmenter may save what was trained alone."""
        self.labelled.network.load_state_dict(self.teacher.module.state_dict())
        return self.labelled.network
