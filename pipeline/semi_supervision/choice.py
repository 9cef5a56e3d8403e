"""The objective of a method, by its name."""

from collections.abc import Callable, Sequence

from torch import nn

from pipeline.learning.segmentation import Segmentation
from pipeline.semi_supervision.cross_pseudo import CrossPseudo
from pipeline.semi_supervision.mean_teacher import MeanTeacher
from pipeline.semi_supervision.objective import SemiSupervised
from pipeline.semi_supervision.pseudo import Pseudo
from pipeline.semi_supervision.unimatch import UniMatch
from pipeline.semi_supervision.views import UnlabelledImages

OBJECTIVES: dict[str, type[SemiSupervised]] = {
    "pseudo": Pseudo,
    "mean_teacher": MeanTeacher,
    "unimatch": UniMatch,
    "cross_pseudo": CrossPseudo,
}


def semi_supervised(
    labelled: Segmentation,
    unlabelled: UnlabelledImages,
    method,
    *,
    steps: int,
    names: Sequence[str],
    key: str,
    partner: Callable[[], nn.Module],
) -> SemiSupervised:
    """The objective of an arm with unlabelled images.

    Args:
        method: the arm's section ``unlabelled``; ``key``: what stands before its options in messages.
        partner: makes the other network of ``cross_pseudo``.
    """
    options = {"confidence_key": f"{key}.confidence"} if method.method == "unimatch" else {}
    if method.method == "cross_pseudo":
        options["partner"] = partner()
    return OBJECTIVES[method.method](labelled, unlabelled, method, steps, names, **options)
