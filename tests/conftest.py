"""Fixtures that many tests share."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.params import Config, load_params
from pipeline.data.case import Case

ROOT = Path(__file__).parents[1]


# What tests start would ignore these where the suite runs in the background, or under nohup.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(items):
    """The longest file first: last, it would leave the second of two workers idle for minutes."""
    items.sort(key=lambda item: item.path.name != "test_end_to_end.py")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real cohorts beside the checkout, or where FETAL_DATA says; tests that need them skip without."""
    path = Path(os.environ.get("FETAL_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real cohorts are not at {path}; set FETAL_DATA to their folder")
    return path


@pytest.fixture(scope="session")
def smoke_config(tmp_path_factory) -> Config:
    """The parameters of the smoke preset."""
    from pipeline.tools.preset import compose

    path = tmp_path_factory.mktemp("params") / "params.yaml"
    path.write_text(compose(ROOT / "presets", "smoke"))
    return load_params(path)


def ellipse_case(index: int = 0, *, height: int = 48, width: int = 64, **fields) -> Case:
    """A bright ring around a dark ellipse on a grey field, with its exact mask."""
    rng = np.random.default_rng(index)
    rows, columns = np.mgrid[:height, :width]
    centre = height / 2 + rng.uniform(-3, 3), width / 2 + rng.uniform(-5, 5)
    radius = np.hypot((rows - centre[0]) / (0.28 * height), (columns - centre[1]) / (0.3 * width))
    image = np.where(radius < 0.85, 40, np.where(radius < 1, 220, 90)) + rng.normal(0, 8, radius.shape)
    values = {
        "id": f"case-{index:03d}",
        "cohort": "rings",
        "patient": f"patient-{index:03d}",
        "split": "train",
        "image": np.clip(image, 0, 255).astype(np.uint8),
        "mask": (radius < 1).astype(np.uint8),
        "mask_source": "annotated",
    }
    return Case(**(values | fields))


@pytest.fixture(scope="session")
def ring():
    """The maker of ring cases: ``ring(index, **fields)``."""
    return ellipse_case


@pytest.fixture(scope="session")
def bases(tmp_path_factory, smoke_config):
    """What arms of a SAM start from, small and with random weights: folder and settings by name.

    ``official`` is like the official ones and has a finer mask head that its weights know nothing of; of ``lite0`` the
    encoder has ImageNet's weights.
    """
    from types import SimpleNamespace

    import torch

    from pipeline.config.segmenters import Lite0Base, PretrainedBase
    from pipeline.networks.sam.checkpoint import save_base
    from tests.tiny_sam import official_sam

    folder = tmp_path_factory.mktemp("bases")
    compact = smoke_config.segmenters["sam"].base
    path = folder / "official.pth"
    torch.save(official_sam().state_dict(), path)
    official = PretrainedBase(weights=str(path), image_size=32, window=2, detail=(8, 8, 16))
    on_lite0 = Lite0Base(weights="lite0", image_size=32, decoder_size=32)
    every = {"compact": compact, "official": official, "lite0": on_lite0}
    made = {name: (folder / name, base) for name, base in every.items()}
    for place, base in made.values():
        save_base(place, SimpleNamespace(base=base), 0)
    return made
