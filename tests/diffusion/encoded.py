"""Views of a training set in a code fitted to it, as the stage encode_views makes them."""

from pathlib import Path

import torch

from pipeline.config.views import EncodedViews
from pipeline.data.structures import Structure
from pipeline.diffusion.codes.choice import fitted_code
from pipeline.diffusion.training_set import TrainingSet
from pipeline.diffusion.views import ViewSet, encode_views, save_views

STRUCTURES = (Structure("head", "head"),)


def encoded(data: TrainingSet, settings: EncodedViews, folder: Path, threads: int = 1, seed: int = 0) -> ViewSet:
    """``folder``: where finished chunks are kept."""
    code = fitted_code(settings.code, data.images, data.sectors)
    return encode_views(data, code, settings, seed, folder, threads, torch.device("cpu"))


def saved(data: TrainingSet, settings: EncodedViews, folder: Path) -> Path:
    """The folder, with views in it."""
    save_views(encoded(data, settings, folder / "chunks"), folder)
    return folder


def told(settings: EncodedViews, conditioned: bool = True) -> EncodedViews:
    """Settings of views of whose augmentation the network is told, or is not."""
    return settings.model_copy(update={"augment": settings.augment.model_copy(update={"conditioned": conditioned})})
