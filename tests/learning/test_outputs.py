"""Structures that exclude each other: the softmax with the background, its loss, its class maps, and a training."""

import math

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from pipeline.config.segmenters import Segmenter
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.data.structures import Structure
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import ImagePool, cross_entropy, dice_loss, fit, mean_loss, one_hot
from pipeline.networks.outputs import outputs_of, structure_probabilities
from pipeline.networks.sam import checkpoint as sam
from pipeline.networks.segmenter import load_segmenter, save_segmenter
from pipeline.networks.small_unet import build_unet
from pipeline.networks.unet import checkpoint as unet
from pipeline.simulation import simulate_case
from pipeline.tasks.segmentation.inference import class_map, predict_native, probabilities
from tests.learning.test_segmentation import CPU, STILL
from tests.tiny_sam import sam_settings

STRUCTURES = (Structure("symphysis", "symphysis"), Structure("head", "head"))


def logits(seed=0):
    return 3 * torch.randn(2, 2, 5, 6, generator=torch.Generator().manual_seed(seed))


def test_exclusive_probabilities_and_that_of_the_background_add_up_to_one():
    x = logits()
    found = structure_probabilities(x, "exclusive")
    background = 1 / (1 + x.exp().sum(dim=1))
    torch.testing.assert_close(found.sum(dim=1) + background, torch.ones(2, 5, 6))
    torch.testing.assert_close(found, x.exp() * background[:, None])


def test_independent_ones_are_sigmoids_and_of_one_structure_both_are_the_same():
    x = logits()
    assert torch.equal(structure_probabilities(x, "independent"), x.sigmoid())
    one = x[:, :1]
    torch.testing.assert_close(structure_probabilities(one, "exclusive"), one.sigmoid())
    target = (torch.rand(one.shape, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    torch.testing.assert_close(mean_loss(one, target, None, "exclusive"), mean_loss(one, target))


def test_the_class_map_is_the_largest_of_all_with_the_background():
    x = logits()
    maps = [class_map(one, "exclusive") for one in structure_probabilities(x, "exclusive").numpy()]
    expected = torch.cat([torch.zeros(2, 1, 5, 6), x], dim=1).argmax(dim=1)
    assert np.array_equal(maps, expected) and set(np.unique(maps)) == {0, 1, 2}
    # Four tenths win where the background has three, though not of independent structures.
    probability = np.array([[[0.4, 0.2]], [[0.3, 0.2]]])
    assert class_map(probability, "exclusive").tolist() == [[1, 0]] and class_map(probability).tolist() == [[0, 0]]


def test_the_loss_in_closed_form():
    masks = torch.tensor([[[0, 1, 2, 2]]])
    target = one_hot(masks, 2)
    even = torch.zeros(1, 2, 1, 4)
    assert cross_entropy(even, target, "exclusive").item() == pytest.approx(math.log(3))
    # A third everywhere: 2 · (1/3) / (4/3 + 1) of the symphysis, 2 · (2/3) / (4/3 + 2) of the head.
    assert dice_loss(even, target, "exclusive").item() == pytest.approx(1 - (2 / 7 + 2 / 5) / 2, abs=1e-5)
    sure = 60 * (2 * target - 1)
    assert mean_loss(sure, target, None, "exclusive").item() == pytest.approx(0, abs=1e-6)
    assert mean_loss(-sure, target, None, "exclusive").item() > 10
    assert mean_loss((sure, -sure), target, [1.0, 0.0], "exclusive").item() == pytest.approx(0, abs=1e-6)


@pytest.fixture(scope="module")
def phantoms():
    return [simulate_case("phantom_a", i, 0, "intrapartum") for i in range(6)]


@pytest.fixture(scope="module")
def pool(phantoms):
    return ImagePool(stack_images(phantoms, 64), stack_masks(phantoms, 64), STILL)


@pytest.mark.parametrize("kind", ["unet", "sam"])
def test_steps_on_phantoms_lower_the_loss_and_the_file_tells(phantoms, pool, bases, smoke_config, tmp_path, kind):
    if kind == "unet":
        module, base, own = unet, tmp_path / "base", smoke_config.segmenters["unet"]
        size = own.base.model_copy(update={"weights": None, "image_size": 64, "backbone": "mobilenet_v2"})
        settings = own.model_copy(update={"outputs": "exclusive", "train": "scratch", "base": size})
        module.save_base(base, settings)
    else:
        module, (base, of_base) = sam, bases["lite0"]
        settings = sam_settings(of_base, outputs="exclusive")
        pool = ImagePool(pool.images[:, :, ::2, ::2].copy(), pool.masks[:, ::2, ::2].copy(), STILL)
    torch.manual_seed(0)
    network = module.build(base, settings, 2)
    losses = []
    seen = {"seed": 0, "device": CPU, "on_step": lambda step, loss: losses.append(loss)}
    fit(network, pool, Recipe(14, 4, 3e-3, warmup_steps=2), n_structures=2, **seen)
    assert np.mean(losses[-3:]) < 0.8 * losses[0]
    about = {"name": kind, "base": base, "settings": settings, "trained_on": {}}
    save_segmenter(module, tmp_path / "model", network, STRUCTURES, **about)
    loaded, facts = load_segmenter(module, tmp_path / "model", CPU, base)
    assert outputs_of(loaded) == facts["settings"]["outputs"] == "exclusive"
    size = facts["image_size"]
    found = probabilities(loaded, pool.images, CPU)
    np.testing.assert_allclose(found, probabilities(network, pool.images, CPU), atol=1e-5)
    assert (found.sum(axis=1) <= 1 + 1e-6).all()
    maps = predict_native(loaded, phantoms, size, CPU)
    assert all(np.array_equal(a, b) for a, b in zip(maps, predict_native(network, phantoms, size, CPU), strict=True))


def test_a_network_that_says_nothing_is_independent():
    assert outputs_of(build_unet((8, 8, 8, 8, 8), 2)) == "independent"


def test_a_file_from_before_there_was_a_choice_is_independent(smoke_config):
    plain = smoke_config.segmenters["unet"].model_dump(mode="json")
    del plain["outputs"]
    assert TypeAdapter(Segmenter).validate_python(plain, strict=False).outputs == "independent"
