"""Images for masks of one's own, by the command generate and among the masks to sample."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pipeline.config.sample import MaskShares
from pipeline.diffusion.masks import MaskSource
from pipeline.run.errors import InputError
from pipeline.tools import command, generate
from tests.diffusion.untrained import WARP


@pytest.fixture(scope="module")
def outside(generator, ring, tmp_path_factory):
    """A model and masks, away from the project."""
    folder = tmp_path_factory.mktemp("outside")
    generator.save_pretrained(folder / "model")
    (folder / "masks").mkdir()
    for i in range(3):
        Image.fromarray(ring(i, height=60 + 10 * i, width=90).mask * 255).save(folder / "masks" / f"mask{i}.png")
    return folder


def from_masks(folder, *options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline.tools.generate", "--model", "model", "--threads", "1"]
    return subprocess.run([*command, "--steps", "2", *options], cwd=folder, capture_output=True, text=True)


def test_masks_of_ones_own_become_pairs(outside, root, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(root))
    result = from_masks(outside, "--masks", "masks", "--out", "pairs", "--per-mask", "2", "--chunk-size", "4")
    assert result.returncode == 0, result.stderr
    names = [f"mask{i}-{k}.png" for i in range(3) for k in range(2)]
    for kind in ("images", "masks"):
        assert sorted(path.name for path in (outside / "pairs" / kind).iterdir()) == names
    mask = np.asarray(Image.open(outside / "pairs/masks/mask2-0.png"))
    assert mask.shape == np.asarray(Image.open(outside / "pairs/images/mask2-0.png")).shape == (28, 32)
    assert set(np.unique(mask)) == {0, 1}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--masks", "masks", "--out", "model"), "model exists and is not an empty folder"),
        (("--masks", "model", "--out", "other"), "model: no masks there"),
        (("--masks", "masks", "--out", "other", "--chunk-size", "300"), "--chunk-size"),
    ],
)
def test_what_cannot_become_pairs_is_said(outside, monkeypatch, capsys, caplog, options, complaint):
    monkeypatch.chdir(outside)
    monkeypatch.setattr("pipeline.run.stage.prepare_environment", lambda threads: None)
    with pytest.raises(SystemExit) as stop:
        command.main(generate.add_arguments, generate.run, ["--model", "model", "--threads", "1", *options])
    assert stop.value.code == 2 and complaint in capsys.readouterr().err + caplog.text
    assert not (outside / "other").exists()


def test_a_spot_is_named_by_its_file(outside, root, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(root))
    folder = outside / "spots"
    folder.mkdir()
    spot = np.zeros((200, 200), np.uint8)
    spot[90:102, 90:96] = 255
    Image.fromarray(spot).save(folder / "spot.png")
    result = from_masks(outside, "--masks", "spots", "--out", "none")
    assert result.returncode == 2 and "mask 'spot': head covers" in result.stderr and not (outside / "none").exists()


def test_a_mask_of_ones_own_with_a_structure_smaller_than_a_cell_is_named(ring):
    labels, mask = [ring(0, height=30, width=40)], np.zeros((64, 64), np.uint8)
    mask[20:26, 20:26] = 1
    options = {"user": [("spot", mask)], "structures": ["head"]}
    source = MaskSource(labels, 1, 32, MaskShares(parent=0, shape_model=0, user=1), WARP, 0, cell=4, **options)
    with pytest.raises(InputError, match=r"data/masks: mask 'spot': head covers 9 pixels at 32 px, .* \(4 x 4\)"):
        source.draw(0)
    fine = MaskSource(labels, 1, 32, MaskShares(parent=0, shape_model=0, user=1), WARP, 0, cell=2, **options)
    assert fine.draw(0).mask.sum() == 9


def test_transform_of_a_users_mask_names_it(ring):
    labels = [ring(i, height=30, width=40, pixel_mm=0.5) for i in range(4)]
    mask = np.zeros((50, 50), np.uint8)
    mask[10:40, 10:40] = 1
    source = MaskSource(labels, 1, 32, MaskShares(parent=0, shape_model=0, user=1), WARP, 0, [("mine", mask)])
    draw = source.draw(3)
    assert draw.source == "user" and json.loads(draw.transform) == {"mask": "mine"} and draw.pixel_mm is None
