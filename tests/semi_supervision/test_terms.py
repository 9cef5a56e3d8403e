"""Ramp, views, targets and contrast by themselves."""

import math

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from pipeline.config.semi_supervised import UnlabelledUse
from pipeline.data.stacking import stack_masks
from pipeline.networks.outputs import structure_probabilities
from pipeline.semi_supervision.contrast import Projection, info_nce
from pipeline.semi_supervision.schedule import ramped
from pipeline.semi_supervision.targets import confidence, hard_labels, pseudo_label_loss, soft_dice_loss
from pipeline.semi_supervision.unimatch import _dropped
from pipeline.semi_supervision.views import rectangles
from tests.semi_supervision.tiny import unlabelled


def test_the_ramp_is_exact():
    found = [ramped(step, 100, 0.1, 0.2) for step in range(100)]
    assert found[:10] == [0] * 10 and found[30:] == [1] * 70
    assert found[10] == pytest.approx(math.exp(-5)) and found[20] == pytest.approx(math.exp(-1.25))
    assert found == sorted(found) and ramped(0, 100, 0, 0) == 1


def test_hard_labels_are_those_of_a_class_map():
    from pipeline.tasks.segmentation.inference import class_map

    logits = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    for outputs in ("independent", "exclusive"):
        probability = structure_probabilities(logits, outputs)
        for found, one in zip(hard_labels(probability, outputs), probability, strict=True):
            wanted = class_map(one.numpy(), outputs)
            assert all((found[k].numpy() == (wanted == k + 1)).all() for k in range(2))


@pytest.mark.parametrize(("probability", "outputs", "sure"), [
    ((0.9, 0.3), "independent", 0.7),
    ((0.99, 0.97), "independent", 0.03),  # the first is chosen, which denies the second
    ((0.97, 0.99), "independent", 0.03),
    ((0.1, 0.3), "independent", 0.7),
    ((0.2,), "independent", 0.8),
    ((0.8,), "independent", 0.8),
    ((0.1, 0.3), "exclusive", 0.6),
    ((0.1, 0.5), "exclusive", 0.5),
    ((0.3, 0.35), "exclusive", 0.35),
])  # fmt: skip
def test_confidence_is_in_what_the_hard_label_says(probability, outputs, sure):
    found = confidence(torch.tensor(probability).reshape(1, -1, 1, 1), outputs)
    assert found.shape == (1, 1, 1, 1) and found.item() == pytest.approx(sure)


def test_a_pseudo_label_loss_is_zero_on_agreement_and_looks_at_kept_pixels_alone():
    target = torch.zeros(1, 1, 8, 8)
    target[..., 2:5, 2:5] = 1
    agreed = (2 * target - 1) * 30
    assert pseudo_label_loss(agreed, target, "independent").item() == pytest.approx(0, abs=1e-4)
    kept = torch.ones(1, 1, 8, 8)
    kept[..., 7] = 0
    wrong = agreed.clone()
    wrong[..., 7] = 30
    assert pseudo_label_loss(wrong, target, "independent", kept=kept).item() == pytest.approx(0, abs=1e-4)
    assert pseudo_label_loss(wrong, target, "independent").item() > 1
    assert soft_dice_loss(agreed, target, "independent").item() == pytest.approx(0, abs=1e-3)


def test_a_structure_that_a_pseudo_label_lacks_is_not_driven_to_zero_by_dice():
    """Where the target is empty the gradient is cross-entropy's alone; a present structure has Dice's too."""
    logits = torch.zeros(1, 2, 8, 8, requires_grad=True)
    target = torch.zeros(1, 2, 8, 8)
    target[0, 0, 2:6, 2:6] = 1
    pseudo_label_loss(logits, target, "independent").backward()
    entropy = torch.sigmoid(torch.zeros(1)) / logits.numel()
    torch.testing.assert_close(logits.grad[0, 1], torch.full((8, 8), entropy.item()))
    assert (logits.grad[0, 0] - logits.grad[0, 1]).abs().max() > 2 * entropy.item()


def test_contrast_falls_when_pairs_agree_and_twins_are_no_negatives():
    generator = torch.Generator().manual_seed(0)
    first, other = (torch.nn.functional.normalize(torch.randn(8, 16, generator=generator), dim=1) for _ in range(2))
    numbers, losses = torch.arange(8), []
    for share in (0, 0.3, 0.6, 1):
        second = torch.nn.functional.normalize(share * first + (1 - share) * other, dim=1)
        losses.append(info_nce(first, second, numbers, 0.1).item())
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.1
    # Two equal vectors of one image: as negatives of each other they would cost log 2 at least.
    doubled = first[[0, 0, 1, 2]]
    assert info_nce(doubled, doubled, torch.tensor([5, 5, 1, 2]), 0.05).item() < 0.05
    assert info_nce(doubled, doubled, torch.arange(4), 0.05).item() > 0.3
    uniform = torch.ones(8, 16) / 4
    assert info_nce(uniform, uniform, numbers, 0.1).item() == pytest.approx(math.log(8), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_a_higher_temperature_tells_images_less_apart(temperature):
    """Of two images with orthogonal vectors on which both networks agree: log(1 + exp(-1 / temperature))."""
    vectors = torch.eye(2)
    found = info_nce(vectors, vectors, torch.arange(2), temperature).item()
    assert found == pytest.approx(math.log1p(math.exp(-1 / temperature)), abs=1e-6)


def test_representations_are_unit_vectors_of_the_dimension_asked_for():
    vectors = Projection(8, 5)(torch.randn(3, 8, 2, 2, generator=torch.Generator().manual_seed(0)))
    assert vectors.shape == (3, 5)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))


def test_dropped_channels_are_complementary_and_a_function_of_their_seed():
    features = torch.ones(6, 10, 2, 2)
    drop = torch.tensor([5, -1, 9])
    found = _dropped(features, drop, 0)
    assert torch.equal(found[0] + found[3], 2 * features[0]) and set(found[0].unique().tolist()) == {0.0, 2.0}
    assert torch.equal(found[1], features[1]) and torch.equal(found[4], features[4])
    assert torch.equal(found, _dropped(features, drop, 0))
    assert not torch.equal(found[0], _dropped(features, drop, 1)[0]), "another level drops others"


def test_rectangles_are_of_the_sizes_they_are_meant_to_be():
    found = rectangles(400, (64, 64), 0.5, torch.Generator().manual_seed(0)).numpy()
    area = found.mean(axis=(1, 2))
    assert 0.4 < (area > 0).mean() < 0.6 and area.max() < 0.42 and area[area > 0].min() > 0.01
    full = [one[np.ix_(one.any(1), one.any(0))].all() for one in found if one.any()]
    assert all(full)


def test_a_strong_view_has_the_geometry_of_the_weak_one():
    pool = unlabelled()
    _, weak, _ = pool.draw(6, torch.Generator().manual_seed(0))
    strong = pool.strengthen(weak, torch.Generator().manual_seed(1))
    assert not torch.equal(weak, strong) and strong.abs().max() <= 1
    for a, b in zip(weak, strong, strict=True):
        assert np.corrcoef(a.flatten(), b.flatten())[0, 1] > 0.8


def test_labels_are_resized_by_nearest_neighbours():
    """Bilinear resizing of class indices would make class 1 between 0 and 2."""
    from types import SimpleNamespace

    mask = np.zeros((300, 300), np.uint8)
    mask[100:200, 100:200] = 2
    found = stack_masks([SimpleNamespace(mask=mask)], 64)
    assert set(np.unique(found)) == {0, 2}


READ = TypeAdapter(UnlabelledUse)


def test_a_method_s_name_stands_for_its_defaults():
    assert READ.validate_python("none") is None and READ.validate_python(None) is None
    assert READ.validate_python("unimatch") == READ.validate_python({"method": "unimatch"})


@pytest.mark.parametrize(("value", "message"), [
    ("fixmatch", "none, pseudo, mean_teacher, cross_pseudo or unimatch"),
    ({"method": "pseudo", "confidence": 0.9}, "confidence"),
    ({"method": "cross_pseudo", "networks": ["unet", "unet"]}, "never disagree.*partner_seed"),
    ({"method": "mean_teacher", "warmup": 0.7, "ramp": 0.4}, "together less than 1"),
    ({"method": "unimatch", "confidence": 0.2}, "0.5"),
    ("cross_pseudo", "networks"),
])  # fmt: skip
def test_options_that_mean_nothing_are_refused(value, message):
    with pytest.raises(ValidationError, match=message):
        READ.validate_python(value)
