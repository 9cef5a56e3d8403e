from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.stacking import stack_masks
from pipeline.imaging.moments import area_moments
from pipeline.learning.pretraining import (
    BOX_JITTER,
    ProceduralPool,
    Promptable,
    _share_token,
    point_in,
    pretrain_compact_sam,
)
from pipeline.learning.pretraining import OBJECTS as PRETRAINING_OBJECTS
from pipeline.learning.procedural import procedural_batch, texture
from pipeline.learning.training import mean_loss
from pipeline.networks.sam.compact import build_compact_sam
from pipeline.networks.sam.prompts import boxes_around
from pipeline.run.resume import Scratch
from pipeline.tasks.segmentation.biometry import largest_component

CPU = torch.device("cpu")
SIZE, OBJECTS = 64, 3


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def drawn():
    return procedural_batch(200, SIZE, OBJECTS, generator())


def test_a_batch_is_a_function_of_its_generator():
    (images, labels), again, other = (procedural_batch(3, 32, OBJECTS, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(images, again[0]) and torch.equal(labels, again[1])
    assert not torch.equal(images, other[0]) and not torch.equal(labels, other[1])


def test_ranges(drawn):
    images, labels = drawn
    assert images.shape == (200, 1, SIZE, SIZE) and labels.shape == (200, SIZE, SIZE)
    assert images.min() >= -1 and images.max() <= 1 and images.isfinite().all()
    assert not labels.is_floating_point() and set(labels.unique().tolist()) == set(range(OBJECTS + 1))
    # Neither empty nor filled, and no image a plain plane.
    assert 0.1 < (labels > 0).float().mean() < 0.6
    assert images.flatten(1).std(dim=1).min() > 0.01
    assert len(images.flatten(1).mean(dim=1).mul(20).round().unique()) > 10, "of every brightness"


def test_an_image_has_one_to_all_objects(drawn):
    most = drawn[1].flatten(1).amax(dim=1)
    # The last object of an image lies in front, so that it shows wherever it is within the frame.
    assert all(0.2 < (most == k).float().mean() < 0.46 for k in range(1, OBJECTS + 1))
    assert set(procedural_batch(20, 32, 1, generator())[1].unique().tolist()) == {0, 1}


def test_later_objects_are_in_front():
    """With fewer objects allowed the first ones are drawn alike, which shows what hides behind the later ones."""
    alone, crowded = (procedural_batch(60, SIZE, objects, generator())[1] for objects in (1, OBJECTS))
    assert ((crowded == 1) <= (alone == 1)).all()
    hidden = (alone == 1) & (crowded != 1)
    assert hidden.sum() > 0.05 * (alone == 1).sum()
    assert (crowded[hidden] > 1).all()


def test_texture_is_standardised_and_of_any_roughness():
    noise = texture(40, SIZE, generator())
    torch.testing.assert_close(noise.mean((1, 2)), torch.zeros(40), rtol=0, atol=1e-5)
    torch.testing.assert_close(noise.std((1, 2)), torch.ones(40))
    alike = (noise[:, 1:] * noise[:, :-1]).mean((1, 2))
    assert alike.min() < 0.15 and alike.max() > 0.7


def ellipse_likeness(mask):
    """Dice of a mask and the ellipse with its second moments."""
    centre, covariance = area_moments(mask)
    offset = np.stack(np.indices(mask.shape), axis=-1) - centre
    # Semi-axes are two standard deviations, see ``biometry.semi_axes``.
    inside = np.einsum("...i,ij,...j->...", offset, np.linalg.inv(covariance), offset) <= 4
    return 2 * (inside & mask).sum() / (inside.sum() + mask.sum())


def _cut(mask):
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def phantom_heads():
    from pipeline.simulation import plan_case
    from pipeline.simulation.head import rasterise

    for cohort in ("phantom_a", "phantom_b", "phantom_c"):
        for i in range(8):
            plan = plan_case(cohort, i, seed=3)
            yield rasterise(plan.patient.contour, plan.pose, *plan.frame.pixel_centres_mm())


@pytest.fixture(scope="module")
def heads(ring):
    """At the size of the procedural images: phantom heads, and rings."""
    cases = [replace(ring(0), mask=mask) for mask in phantom_heads()]
    return stack_masks([*cases, *(ring(i) for i in range(8))], SIZE) > 0


def test_there_is_no_prior_of_heads(drawn, heads):
    """A head is an ellipse to within 1 %, what is drawn misses its ellipse by ten times as much.

    What shows of an object is far from one (mean Dice .84); so are those that nothing hides and no frame cuts (.90).
    """
    of_heads = np.array([ellipse_likeness(mask) for mask in heads])
    objects = [plane == k for plane in drawn[1].numpy() for k in range(1, OBJECTS + 1)]
    objects = [mask for mask in objects if mask.sum() > 0.02 * SIZE**2]
    whole = [
        mask
        for mask in (plane == plane.max() for plane in drawn[1].numpy())
        if 0.02 * SIZE**2 < mask.sum() < 0.5 * SIZE**2
        and not _cut(mask)
        and largest_component(mask).sum() == mask.sum()
    ]
    assert len(objects) > 250 and len(whole) > 40
    of_objects, of_whole = (np.array([ellipse_likeness(mask) for mask in masks]) for masks in (objects, whole))
    assert of_heads.mean() > 0.98
    assert of_objects.mean() < 0.87 and of_whole.mean() < 0.93
    assert (of_heads > 0.97).mean() > 0.9
    assert (of_objects > 0.97).mean() < 0.04 and (of_whole > 0.97).mean() < 0.1


def kind_of(inputs):
    return "points" if inputs[1] is not None else "boxes" if inputs[2] is not None else "none"


@pytest.fixture(scope="module")
def batches():
    pool = ProceduralPool(SIZE)
    made = [pool.batch(torch.zeros(4, dtype=torch.long), generator(seed)) for seed in range(45)]
    return {kind: [one for one in made if kind_of(one[0]) == kind] for kind in ("none", "points", "boxes")}


def test_a_third_of_the_batches_each_has_points_boxes_and_no_prompt(batches):
    assert all(7 <= len(some) <= 23 for some in batches.values())
    masks = torch.cat([masks for some in batches.values() for _, masks in some])
    assert set(masks.unique().tolist()) == {0, 1}
    assert (masks.flatten(1).sum(dim=1) == 0).float().mean() < 0.03


def test_points_lie_in_the_object_that_is_meant(batches):
    inside = []
    for (_, points, _), masks in batches["points"]:
        assert points.shape == (4, 1, 1, 2)
        x, y = points[:, 0, 0].long().T
        inside += [mask[row, column] for mask, row, column in zip(masks, y, x, strict=True) if mask.any()]
    assert all(inside)


def test_boxes_lie_around_the_object_that_is_meant(batches):
    moved = []
    for (_, _, boxes), masks in batches["boxes"]:
        assert boxes.shape == (4, 1, 4)
        exact = boxes_around(masks[:, None] > 0)
        sides = (exact[..., 2:] - exact[..., :2] + 1).repeat(1, 1, 2)
        moved.append((boxes - exact) / sides)
    moved = torch.cat(moved)
    assert 0 < moved.abs().max() <= 2 * BOX_JITTER + 1e-4


def test_without_a_prompt_the_largest_object_is_meant():
    pool, seen = ProceduralPool(SIZE), 0
    for seed in range(12):
        (images, points, boxes), masks = pool.batch(torch.zeros(4), generator(seed))
        if points is None and boxes is None:
            same, labels = procedural_batch(4, SIZE, PRETRAINING_OBJECTS, generator(seed))
            assert torch.equal(images, same)
            areas = torch.stack([(labels == k).sum((1, 2)) for k in range(1, PRETRAINING_OBJECTS + 1)])
            assert torch.equal(masks.sum((1, 2)), areas.amax(dim=0))
            seen += 1
    assert seen


def test_a_point_is_any_pixel_of_its_mask():
    masks = torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, 2, 5] = masks[0, 6, 1] = True
    points = torch.cat([point_in(masks, generator(seed)) for seed in range(40)])
    assert {tuple(point) for point in points.tolist()} == {(5, 2), (1, 6)}
    nowhere = torch.cat([point_in(masks & False, generator(seed)) for seed in range(40)])
    assert len(nowhere.unique(dim=0)) > 20 and nowhere.min() >= 0 and nowhere.max() < 8


@pytest.fixture
def settings(smoke_config):
    def with_steps(steps):
        pretraining = smoke_config.segmenters["sam"].base.pretraining.model_copy(update={"steps": steps})
        return smoke_config.segmenters["sam"].base.model_copy(update={"pretraining": pretraining})

    return with_steps


def pretrained(settings, folder: Path, seed=1):
    return pretrain_compact_sam(
        settings, seed, CPU, Scratch(folder, "base", [], settings, seed), lambda step, loss: None
    )


@torch.no_grad()
def held_out_loss(network):
    """Mean over as many new batches of every kind."""
    promptable, pool, losses = Promptable(network).eval(), ProceduralPool(32), {}
    for seed in range(100, 130):
        inputs, masks = pool.batch(torch.zeros(8), generator(seed))
        losses.setdefault(kind_of(inputs), []).append(mean_loss(promptable(*inputs)[-1], masks[:, None].float()))
    return {kind: float(torch.stack(some[:6]).mean()) for kind, some in losses.items()}


def test_pretraining_lowers_the_loss_with_every_kind_of_prompt(settings, tmp_path):
    before, after = (held_out_loss(pretrained(settings(steps), tmp_path)) for steps in (0, 40))
    assert before.keys() == after.keys() == {"none", "points", "boxes"}
    assert all(after[kind] < before[kind] - 0.1 for kind in before), (before, after)


def test_pretraining_is_a_function_of_its_seed(settings, tmp_path):
    first, again, other = (pretrained(settings(2), tmp_path, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


@pytest.mark.parametrize("boxed", [False, True])
def test_shared_tokens_give_the_mask_of_the_first(smoke_config, boxed):
    torch.manual_seed(0)
    network = build_compact_sam(smoke_config.segmenters["sam"].base.compact, 32, 4).eval()
    images = torch.randn(2, 1, 32, 32)
    decoder = network.sam.mask_decoder

    @torch.no_grad()
    def masks():
        prompt = None
        if boxed:
            prompt, _ = network.sam.prompt_encoder(None, None, torch.tensor([[[4.0, 6, 20, 28]]] * 2), None)
        return network.masks(network.embed(images), network.pyramid(images), prompt)

    token, head = decoder.mask_tokens.weight[0].clone(), decoder.output_hypernetworks_mlps[0]
    head = {name: value.clone() for name, value in head.state_dict().items()}
    assert all((one[:, 1:] - one[:, :1]).abs().amax(dim=(2, 3)).min() > 1e-3 for one in masks())
    _share_token(network)
    for one in masks():
        torch.testing.assert_close(one[:, 1:], one[:, :1].expand(-1, 3, -1, -1), rtol=0, atol=1e-5)
    assert torch.equal(decoder.mask_tokens.weight[0], token)
    assert all(
        torch.equal(value, head[name]) for name, value in decoder.output_hypernetworks_mlps[0].state_dict().items()
    )


def test_shared_tokens_can_part_again(smoke_config):
    """They are copies, not one tensor: further structures must learn masks of their own."""
    network = build_compact_sam(smoke_config.segmenters["sam"].base.compact, 32, 4)
    _share_token(network)
    decoder = network.sam.mask_decoder
    with torch.no_grad():
        decoder.mask_tokens.weight[0] += 1
        next(decoder.output_hypernetworks_mlps[0].parameters()).add_(1)
    assert not torch.equal(decoder.mask_tokens.weight[0], decoder.mask_tokens.weight[1])
    first, second = (next(decoder.output_hypernetworks_mlps[k].parameters()) for k in (0, 1))
    assert not torch.equal(first, second)
