"""Views of the training images: functions of their number, resumed, stored whole, and refusals."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.data.structures import Structure
from pipeline.diffusion.training_set import build_training_set, open_training_set
from pipeline.diffusion.views import fit_to_grid, open_views, save_views
from pipeline.run.errors import InputError
from tests.diffusion.encoded import encoded

HEAD = (Structure("head", "head"),)


@pytest.fixture(scope="module")
def data(ring):
    return build_training_set([ring(i) for i in range(3)], [replace(ring(5), mask=None, mask_source=None)], HEAD, 32)


@pytest.fixture(scope="module")
def settings(smoke_config):
    return smoke_config.views.model_copy(update={"count": 30})


@pytest.fixture(scope="module")
def views(data, settings, tmp_path_factory):
    return encoded(data, settings, tmp_path_factory.mktemp("views"))


def same(a, b) -> bool:
    pairs = ((value, getattr(b, name)) for name, value in vars(a).items() if isinstance(value, torch.Tensor))
    return all(torch.equal(*pair) for pair in pairs)


def test_shapes_and_ranges(data, settings, views):
    assert views.codes.shape == (120, 12, 8, 8) and views.codes.dtype == torch.float16
    assert views.planes.shape == (120, 12, 8, 8) and views.planes.abs().max() == 127
    assert views.changes.shape == (120, 8) and views.appearances.shape == (120, 7) and views.bank.shape == (4, 7)
    of = views.of(torch.tensor([0, 3]), torch.Generator().manual_seed(0))
    assert 0 <= of[0] < 30 and 90 <= of[1] < 120


def test_views_do_not_depend_on_threads_or_interruptions(data, settings, views, tmp_path):
    whole = encoded(data, settings, tmp_path, threads=2)
    assert same(whole, views)
    chunks = sorted(tmp_path.iterdir())
    assert len(chunks) == 2
    chunks[1].unlink()
    before = chunks[0].stat().st_mtime_ns
    assert same(encoded(data, settings, tmp_path), views) and chunks[0].stat().st_mtime_ns == before
    assert not same(encoded(data, settings, tmp_path / "other", seed=1), views)


def test_a_view_without_changes_is_the_image(data, settings, tmp_path):
    none = settings.augment.model_copy(update={"probability": 0.0, "flip": False})
    views = encoded(data, settings.model_copy(update={"augment": none, "count": 2}), tmp_path)
    images = views.code.images(
        views.codes[::2].float() / views.code.scale[:, None, None] + views.code.mean[:, None, None]
    )
    wanted = views.code.images(views.code.raw(data.images[:, None].float() / 127.5 - 1))
    difference = (images - wanted).abs()[data.sectors[:, None]]
    assert difference.mean() < 0.02
    torch.testing.assert_close(views.appearances[::2], views.appearances[1::2])
    assert views.appearances[::2].mean(dim=0).abs().max() < 0.02, "in standard deviations of the images themselves"


def test_saved_and_opened_is_the_same(data, views, tmp_path):
    save_views(views, tmp_path)
    data.save(tmp_path)
    again = open_views(tmp_path)
    assert same(again, views) and again.conditioned == views.conditioned and again.count == 30
    torch.testing.assert_close(again.code.scale, views.code.scale)
    opened = open_training_set(tmp_path)
    assert torch.equal(opened.masks, data.masks) and opened.structures == HEAD and opened.labelled == 3


@pytest.mark.parametrize("name", ["views.safetensors", "views.json", "code/config.json", "cases.safetensors"])
def test_a_damaged_folder_says_what_to_run(data, views, tmp_path, name):
    save_views(views, tmp_path)
    data.save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:40])
    with pytest.raises(InputError, match="run the stage encode_views again"):
        open_views(tmp_path)
        open_training_set(tmp_path)


def with_spot(ring, index, edge):
    """A case whose head is a square of ``edge`` pixels at its own size."""
    case = ring(index)
    mask = np.zeros_like(case.mask)
    mask[20 : 20 + edge, 30 : 30 + edge] = 1
    return replace(case, mask=mask)


def test_an_annotated_structure_smaller_than_a_cell_is_named(ring):
    cases = [ring(0), with_spot(ring, 1, 6)]
    data = build_training_set(cases, [], HEAD, 32)
    ids = [case.id for case in cases]
    with pytest.raises(InputError, match=rf"case '{ids[1]}': head covers 9 pixels .* code \(4 x"):
        fit_to_grid(data, ids, 4)
    assert torch.equal(fit_to_grid(data, ids, 2).masks, data.masks)


def test_a_pseudo_mask_smaller_than_a_cell_is_not_used(ring, caplog):
    cases = [ring(0), with_spot(ring, 1, 6)]
    data = build_training_set(cases[:1], cases[1:], HEAD, 32)
    with caplog.at_level(logging.WARNING):
        fitted = fit_to_grid(data, [case.id for case in cases], 4)
    assert fitted.known.tolist() == [True, False] and not fitted.masks[1].any() and fitted.masks[0].any()
    assert "1 pseudo-masks hold a structure smaller" in caplog.text


def test_a_mask_of_which_nothing_is_left_is_named(ring):
    with pytest.raises(InputError, match=r"case '.*': nothing is left of its mask at 16 px; raise views.image_size"):
        build_training_set([with_spot(ring, 1, 1)], [], HEAD, 16)
