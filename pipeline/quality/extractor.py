"""Feature extractors for torch-fidelity: the domain extractor needs no download.

Inception's features are of photographs and its weights are not always at hand; the bottleneck of the instrument
network, trained on reserved patients of the same kind of image, is the default. It only measures.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor

DOMAIN = "domain"


class UInt8Images(Dataset):
    """torch-fidelity's input: one uint8 tensor [3, S, S] per image.

    Args:
        images: uint8 (N, S, S).
    """

    def __init__(self, images: np.ndarray):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(self.images[index])[None].expand(3, -1, -1)


class DomainExtractor(FeatureExtractorBase):
    """torch-fidelity builds extractors from their name alone, so the network is handed over on the class."""

    features: Callable[[Tensor], Tensor]

    def __init__(self, name: str, features_list: Sequence[str], **_):
        super().__init__(name, features_list)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """uint8 [B, 3, S, S], three equal channels → float [B, D]."""
        return (self.features(x[:, :1].float() / 127.5 - 1),)

    @staticmethod
    def get_provided_features_list() -> tuple[str]:
        return ("bottleneck",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "bottleneck"

    @staticmethod
    def can_be_compiled() -> bool:
        return False


def register_domain_extractor(features: Callable[[Tensor], Tensor]) -> None:
    """Make ``features``, float [B, 1, S, S] in [-1, 1] → float [B, D], the extractor named ``domain``."""
    DomainExtractor.features = staticmethod(features)
    if DOMAIN not in FEATURE_EXTRACTORS_REGISTRY:
        register_feature_extractor(DOMAIN, DomainExtractor)
