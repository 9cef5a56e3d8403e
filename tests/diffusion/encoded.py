"""Views of a training set in a code fitted to it, as the stage encode_views makes them."""

from pathlib import Path

import torch

from pipeline.config.views import EncodedViews
from pipeline.diffusion.codes.choice import fitted_code
from pipeline.diffusion.training_set import TrainingSet
from pipeline.diffusion.views import ViewSet, encode_views


def encoded(data: TrainingSet, settings: EncodedViews, folder: Path, threads: int = 1, seed: int = 0) -> ViewSet:
    """``folder``: where finished chunks are kept."""
    code = fitted_code(settings.code, data.images, data.sectors)
    return encode_views(data, code, settings, seed, folder, threads, torch.device("cpu"))
