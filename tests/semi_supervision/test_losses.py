"""The loss of every method on one batch, by hand: which targets, of which views, where, and with a gradient to whom."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from tests.semi_supervision.made import batch_at, objective_of
from tests.semi_supervision.tiny import STILL, STRONG

UNCHANGED = STRONG.model_copy(update=STILL | {"probability": 0.0})
"""A strong augmentation that leaves views as they are."""


def classes(masks, count):
    return torch.stack([(masks == k).float() for k in range(1, count + 1)], dim=1)


def supervised(logits, target):
    """Dice + binary cross-entropy."""
    p = logits.sigmoid()
    dice = (2 * (p * target).sum((2, 3)) + 1e-5) / (p.sum((2, 3)) + target.sum((2, 3)) + 1e-5)
    entropy = -(target * p.log() + (1 - target) * (1 - p).log())
    return (1 - dice).mean() + entropy.mean()


def to_pseudo_labels(logits, target, kept=None):
    """Binary cross-entropy and Dice of the kept pixels; no Dice where a target is empty."""
    kept = torch.ones_like(target[:, :1]) if kept is None else kept
    p = logits.sigmoid()
    entropy = (-(target * p.log() + (1 - target) * (1 - p).log()) * kept).mean()
    p, target = p * kept, target * kept
    dice = (2 * (p * target).sum((2, 3)) + 1e-5) / (p.sum((2, 3)) + target.sum((2, 3)) + 1e-5)
    return entropy + ((1 - dice) * (target.sum((2, 3)) > 0)).mean()


def soft_dice(logits, target):
    p = logits.sigmoid()
    return (1 - (2 * (p * target).sum((2, 3)) + 1e-5) / ((p**2 + target**2).sum((2, 3)) + 1e-5)).mean()


def likeliest(p):
    """The structure of the largest probability, where that is half or more."""
    winner = functional.one_hot(p.argmax(1), p.shape[1]).permute(0, 3, 1, 2)
    return winner * (p.amax(1, keepdim=True) >= 0.5)


def pulled(network, loss):
    """The gradients of a network."""
    return torch.autograd.grad(loss, list(network.parameters()), retain_graph=True, allow_unused=True)


@pytest.mark.parametrize(("name", "towards", "target_of"), [
    ("cross_pseudo", to_pseudo_labels, likeliest), ("as_published", soft_dice, lambda p: p),
])  # fmt: skip
def test_two_networks_learn_from_labels_and_from_each_other(name, towards, target_of):
    """Each from the other's targets, not its own, and neither has a gradient of what the other learns from it."""
    objective = objective_of(name, n_structures=2, contrast=None, weight=2.0)
    images, masks, _, other, *_ = batch = batch_at(objective, 11)
    loss, truth = objective.loss(objective.network, *batch), classes(masks, 2)
    own, partner = ([*objective.network.networks][k](torch.cat([images, other])) for k in (0, 1))
    for_own, for_partner = (target_of(logits.detach().sigmoid()) for logits in (partner, own))
    assert 0 < for_own.float().mean() < 1 and not torch.equal(for_own, for_partner)
    of_own = supervised(own[:4], truth) + 2.0 * towards(own, for_own)
    of_partner = supervised(partner[:4], truth) + 2.0 * towards(partner, for_partner)
    torch.testing.assert_close(loss, of_own + of_partner)
    for network, alone in zip(objective.network.networks, (of_own, of_partner), strict=True):
        for found, wanted in zip(pulled(network, loss), pulled(network, alone), strict=True):
            torch.testing.assert_close(found, wanted)


def test_contrast_is_added_by_its_weight():
    losses = [objective_of("cross_pseudo", contrast=one) for one in (None, {"weight": 0.1}, {"weight": 0.3})]
    without, tenth, more = (one.loss(one.network, *batch_at(one, 11)).item() for one in losses)
    assert tenth - without > 0.01 and more - without == pytest.approx(3 * (tenth - without), rel=1e-3)


def test_the_teacher_sees_the_weak_view_and_the_student_the_strong_one():
    objective, seen = objective_of("mean_teacher", weight=3.0), []
    images, masks, _, weak, strong, _ = batch = batch_at(objective, 11)
    assert not torch.equal(weak, strong)
    objective.taught = lambda views: seen.append(views) or torch.full_like(views, 0.25)
    loss = objective.loss(objective.network, *batch)
    assert len(seen) == 1 and torch.equal(seen[0], weak)
    network = objective.labelled.network
    away = (network(strong).sigmoid() - 0.25).square().mean()
    torch.testing.assert_close(loss, supervised(network(images), classes(masks, 1)) + 3.0 * away)


def test_fixed_pseudo_labels_are_learnt_as_such():
    objective = objective_of("pseudo", weight=0.5)
    images, masks, _, other, found = batch = batch_at(objective, 0)
    network = objective.labelled.network
    wanted = supervised(network(images), classes(masks, 1)) + 0.5 * to_pseudo_labels(network(other), classes(found, 1))
    torch.testing.assert_close(objective.loss(objective.network, *batch), wanted)


def unimatch_batch(**changes):
    """An objective whose images lose no features, a batch, and its parts by name."""
    objective = objective_of("unimatch", **{"feature_dropout": 0.0, "weight": 2.0} | changes)
    batch = batch_at(objective, 11)
    names = ("images", "masks", "ramp", "weak", "pasted", "within_a", "strong_a", "within_b", "strong_b")
    return objective, batch, dict(zip(names, batch, strict=False))


def of_unimatch(objective, parts, targets, kept=None):
    """The loss, given the targets of both strong views."""
    network = objective.labelled.network
    views = (parts["strong_a"], parts["strong_b"])
    every = [to_pseudo_labels(network(view), target, kept) for view, target in zip(views, targets, strict=True)]
    return supervised(network(parts["images"]), classes(parts["masks"], 1)) + 2.0 * sum(every) / 2


def test_targets_are_cut_and_mixed_as_the_strong_views_are():
    """The teacher is sure of everything in the weak view, and of nothing in the one pasted in."""
    objective, batch, parts = unimatch_batch(cutmix=1.0)
    assert all(0 < parts[f"within_{view}"].float().mean() < 0.5 for view in "ab")
    assert not torch.equal(parts["within_a"], parts["within_b"])
    objective.taught = lambda views: torch.full_like(views, 1.0 if torch.equal(views, parts["weak"]) else 0.0)
    targets = [1 - parts["within_a"].float(), 1 - parts["within_b"].float()]
    torch.testing.assert_close(objective.loss(objective.network, *batch), of_unimatch(objective, parts, targets))


def test_only_confident_pixels_count():
    """.9 in the left half, .6 in the right one, and .8 is asked for."""
    objective, batch, parts = unimatch_batch(confidence=0.8)
    sure = torch.full_like(parts["weak"], 0.6)
    sure[..., :8] = 0.9
    objective.taught = lambda views: sure
    left = (sure > 0.8).float()
    wanted = of_unimatch(objective, parts, [torch.ones_like(sure)] * 2, left)
    torch.testing.assert_close(objective.loss(objective.network, *batch), wanted)
    assert objective.found["coverage"] == 0.5


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_the_images_gets_a_rectangle_of_another(share):
    objective = objective_of("unimatch", cutmix=share)
    objective.unlabelled = replace(objective.unlabelled, strong=UNCHANGED)
    _, _, _, weak, pasted, *views = batch_at(objective, 11)
    for within, strong in (views[:2], views[2:4]):
        assert within.any(dim=(1, 2, 3)).all() == within.any() == bool(share)
        assert torch.equal(strong, torch.where(within, pasted, weak))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_the_images_loses_features(share):
    objective = objective_of("unimatch", feature_dropout=share)
    images, _, _, _, _, _, strong_a, _, strong_b, _, drop = batch_at(objective, 11)
    assert (drop >= 0).all() == (drop >= 0).any() == bool(share)
    with torch.no_grad():
        found = objective.network(images, strong_a, strong_b, drop)
        plain = objective.labelled.network(torch.cat([images, strong_a, strong_b]))
    torch.testing.assert_close(found[:4], plain[:4])
    changed = [not torch.allclose(one, other, atol=1e-4) for one, other in zip(found[4:], plain[4:], strict=True)]
    assert changed == [bool(share)] * 8
