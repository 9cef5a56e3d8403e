"""The command segment on a folder of small images, with a SAM of random weights."""

import csv

import numpy as np
import pytest
from PIL import Image

from pipeline.data.structures import Structure
from pipeline.networks.sam import checkpoint
from pipeline.networks.segmenter import save_segmenter
from pipeline.tools import command as frame
from pipeline.tools import segment

STRUCTURES = (Structure("pubic_symphysis"), Structure("head", "head"))
# Width and height, mode: landscape, portrait, larger and smaller than the network's input, a line of pixels.
PICTURES = {
    "wide.png": (80, 50, "L"),
    "tall.bmp": (31, 64, "RGB"),
    "palette.tif": (48, 48, "P"),
    "alpha.PNG": (40, 44, "RGBA"),
    "small.jpg": (20, 17, "RGB"),
    "line.jpeg": (60, 1, "L"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory, smoke_config):
    """A small SAM with random weights that says both structures and background."""
    folder = tmp_path_factory.mktemp("segmenter")
    settings = smoke_config.segmenters["sam"]
    checkpoint.save_base(folder / "sam", settings, 0)
    network = checkpoint.build(folder / "sam", settings, 2)
    about = {"name": "sam", "base": folder / "sam", "settings": settings, "trained_on": {}}
    save_segmenter(checkpoint, folder / "model", network, STRUCTURES, **about)
    return folder / "model"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The command sets these for its process, which is ours here."""
    for library in ("OMP", "MKL", "OPENBLAS"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, (width, height, mode) in PICTURES.items():
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / name)
    return folder


@pytest.fixture
def command(tmp_path, images, model, caplog, capsys):
    """Run the command on the images; its exit status and messages."""

    def call(*options, model=model, images=images):
        caplog.clear()
        capsys.readouterr()
        arguments = [
            "--model",
            model,
            "--base",
            model.parent / "sam",
            "--images",
            images,
            "--out",
            tmp_path / "out",
            "--threads",
            "1",
        ]
        status = 0
        with caplog.at_level("INFO"):
            try:
                frame.main(segment.add_arguments, segment.run, [*map(str, arguments), "--device", "cpu", *options])
            except SystemExit as left:
                status = left.code
        return status, caplog.text + capsys.readouterr().err

    return call


def table(folder) -> list[dict[str, str]]:
    with (folder / "out/measurements.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def picture(folder, kind, name):
    return np.asarray(Image.open(folder / "out" / kind / f"{name.rsplit('.', 1)[0]}.png"))
