"""The average of past weights that teaches."""

from torch import nn
from torch.optim.swa_utils import AveragedModel


def teacher_of(network: nn.Module, decay: float) -> AveragedModel:
    """θ' ← α θ' + (1 − α) θ after every step, α = min(decay, 1 − 1 / (1 + t)) with t past steps, as in mean teacher
    (Tarvainen & Valpola 2017); batch statistics are the student's own. In evaluation mode.
    """
    teacher = AveragedModel(
        network, avg_fn=lambda old, new, past: old + (new - old) * (1 - min(decay, 1 - 1 / (1 + float(past))))
    )
    return teacher.requires_grad_(False).eval()
