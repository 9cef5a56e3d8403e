"""What arms start from, small and with random weights: a compact SAM, and one like the official ones."""

import pytest
import torch

from pipeline.segmentation.compact_sam import build_compact_sam
from pipeline.segmentation.pretrained import read_pretrained
from pipeline.segmentation.sam_checkpoint import save_compact_base, save_pretrained_base
from tests.segmentation.tiny_sam import official_sam


@pytest.fixture(scope="session")
def bases(tmp_path_factory, smoke_config):
    """Folder and settings by name. ``official`` has a finer mask head that its weights know nothing of."""
    folder = tmp_path_factory.mktemp("bases")
    compact = smoke_config.segmenters["sam"].base.model_copy(update={"weights": None, "image_size": 32})
    torch.manual_seed(0)
    save_compact_base(folder / "compact", build_compact_sam(compact.compact, 32, 1), compact)
    path = folder / "official.pth"
    torch.save(official_sam().state_dict(), path)
    official = compact.model_copy(update={"weights": str(path), "window": 2, "detail": (8, 8, 16)})
    save_pretrained_base(folder / "official", *read_pretrained(path))
    return {"compact": (folder / "compact", compact), "official": (folder / "official", official)}
