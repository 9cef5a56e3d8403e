"""Features of images for distances between sets: of a network of the project, or of public weights.

Inception's features are of photographs and its weights are not always at hand, so the bottleneck of the evaluation
network, trained on reserved patients of the same kind of image, stands first (``domain``), and beside it
EfficientNet-Lite0, trained on ImageNet, whose weights are a package. Nothing is ever fetched.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.features.extraction import Extractor
from pipeline.features.inception import open_inception
from pipeline.features.timm_models import open_lite0, open_timm
from pipeline.features.vision_folders import CLIP, DINOV2, open_folder

DOMAIN, LITE0, TIMM, INCEPTION = "domain", "lite0", "timm", "inception"


def chosen(settings) -> Iterator[tuple[str, Callable[..., Extractor]]]:
    """Name and opener, a function of the device, of each extractor beside the domain's that is asked for.

    Args:
        settings: ``score.extractors`` of the parameters. The name of a model of timm is ``timm_<model>``.

    The opener raises InputError where weights are missing or another network's.
    """
    if settings.lite0:
        yield LITE0, open_lite0
    if (timm := settings.timm) is not None:
        yield f"{TIMM}_{timm.model}", lambda device: open_timm(timm.model, Path(timm.weights), device)
    for name in (INCEPTION, DINOV2, CLIP):
        if (path := getattr(settings, name)) is not None:
            yield name, lambda device, name=name, path=path: open_published(name, Path(path), device)


def open_published(name: str, weights: Path, device) -> Extractor:
    """Inception, DINOv2 or CLIP, by its key of ``score.extractors``; of the first a file, of the others a folder."""
    return open_inception(weights, device) if name == INCEPTION else open_folder(name, weights, device)
