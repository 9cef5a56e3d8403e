import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.data.stacking import stack_images, stack_masks
from pipeline.networks.sam.checkpoint import load_base
from pipeline.networks.sam.prompts import boxes_around, ellipse_in_box, jitter, whole_boxes
from pipeline.tasks.segmentation.oracle_box import segment_with_oracle

CPU = torch.device("cpu")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def ellipse(size, centre, half_height, half_width):
    rows, columns = np.mgrid[:size, :size]
    return ((rows - centre[0]) / half_height) ** 2 + ((columns - centre[1]) / half_width) ** 2 <= 1


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_boxes_are_x_first_and_hold_their_last_pixels():
    masks = torch.zeros(2, 2, 10, 10, dtype=torch.bool)
    masks[0, 0, 3, 5] = True
    masks[0, 1, 2:7, 1:9] = True
    masks[1, 0, [0, 9], [4, 2]] = True
    assert boxes_around(masks).tolist() == [
        [[5, 3, 5, 3], [1, 2, 8, 6]],
        [[2, 0, 4, 9], [0, 0, 9, 9]],
    ], "the whole input around an empty mask"


def test_whole_boxes_are_those_of_full_masks():
    full = torch.ones(2, 3, 7, 7, dtype=torch.bool)
    assert torch.equal(whole_boxes(2, 3, (7, 7)), boxes_around(full))
    assert whole_boxes(1, 1, (7, 7)).tolist() == [[[0, 0, 6, 6]]]


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_boxes_turn_with_their_masks(turn):
    mask = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    mask[0, 0, 1:4, 2:9] = True
    x0, y0, x1, y1 = boxes_around(mask)[0, 0].tolist()
    for _ in range(turn):
        # A quarter turn against the clock takes (x, y) to (y, 11 - x).
        x0, y0, x1, y1 = y0, 11 - x1, y1, 11 - x0
    assert boxes_around(mask.rot90(turn, (2, 3)))[0, 0].tolist() == [x0, y0, x1, y1]


def test_jitter_of_zero_changes_nothing():
    boxes = torch.tensor([[[5.0, 3, 5, 3], [1, 2, 8, 6]]])
    assert torch.equal(jitter(boxes, 0.0, generator()), boxes)


def test_jitter_is_a_function_of_its_generator():
    boxes = torch.tensor([[10.0, 20, 49, 29]]).expand(5, 4)
    first, again, other = (jitter(boxes, 0.1, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len({tuple(box) for box in first.tolist()}) == 5


def test_every_side_moves_on_its_own_by_a_share_of_the_box():
    box, share, count = torch.tensor([10.0, 20, 49, 29]), 0.1, 20000
    moved = jitter(box.expand(count, 4), share, generator()) - box
    sides = torch.tensor([40.0, 10, 40, 10])
    # A normal number that is clipped at two standard deviations has one of .9594.
    tails = math.erfc(math.sqrt(2))
    spread = math.sqrt(1 - tails - 4 * math.exp(-2) / math.sqrt(2 * math.pi) + 4 * tails)
    assert spread == pytest.approx(0.9594, abs=1e-3)
    torch.testing.assert_close(moved.std(dim=0) / (share * sides), torch.full((4,), spread), rtol=0.03, atol=0)
    assert (moved.mean(dim=0).abs() < 5 * share * sides / math.sqrt(count)).all()
    assert (moved.abs().amax(dim=0) <= 2 * share * sides * (1 + 1e-4)).all()
    assert (moved.T.corrcoef() - torch.eye(4)).abs().max() < 0.05


def test_corners_stay_in_order():
    moved = jitter(torch.tensor([3.0, 4, 3, 9]).expand(2000, 4), 0.49, generator())
    assert (moved[:, 2:] >= moved[:, :2]).all()


@pytest.mark.parametrize(("box", "tolerance"), [((10, 20, 89, 69), 0.01), ((5, 5, 24, 54), 0.02), ((3, 3, 3, 3), 0.3)])
def test_an_ellipse_fills_a_quarter_of_pi_of_its_box_and_touches_its_sides(box, tolerance):
    found = ellipse_in_box(np.array(box, dtype=np.float32), (100, 100))
    width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
    assert found.sum() == pytest.approx(math.pi / 4 * width * height, rel=tolerance)
    assert boxes_around(torch.from_numpy(found)[None, None])[0, 0].tolist() == list(box)


@pytest.mark.parametrize("half_axes", [(30, 30), (20, 34), (31.3, 17.8)])
def test_an_upright_ellipse_is_found_from_its_box_alone(half_axes):
    mask = ellipse(96, (47.2, 50.6), *half_axes)
    box = boxes_around(torch.from_numpy(mask)[None, None])[0, 0].numpy()
    assert dice(ellipse_in_box(box, mask.shape), mask) > 0.98


@pytest.fixture(scope="module")
def network(bases):
    torch.manual_seed(0)
    return load_base(*bases["compact"], 2).eval()


def scores(network, case, share, seed=0):
    return segment_with_oracle(network, case, 32, share, generator(seed), CPU)


def test_the_ellipse_scores_high_without_looking_at_the_image(network, ring):
    """So a score with an oracle box says little: the control is what it must be held against."""
    for i in range(6):
        case = ring(i)
        blank = replace(case, image=np.zeros_like(case.image))
        (sam, control), (sam_blank, control_blank) = (scores(network, one, 0.0) for one in (case, blank))
        assert control[0] > 0.95 and control_blank[0] == control[0]
        assert sam[0] != sam_blank[0]
        assert np.isnan([sam[1], control[1]]).all(), "the second structure is absent"


def test_a_worse_box_makes_a_worse_ellipse(network, ring):
    means = [np.mean([scores(network, ring(i), share, i)[1][0] for i in range(12)]) for share in (0, 0.1, 0.3)]
    assert means[0] > means[1] + 0.02 and means[1] > means[2] + 0.05
    assert scores(network, ring(0), 0.1, 5)[1][0] == scores(network, ring(0), 0.1, 5)[1][0]


def test_what_sam_is_given_and_how_it_is_scored(ring):
    """A stand-in that fills the box it is given: its Dice is that of the box."""
    case, given = ring(3), []
    mask = stack_masks([case], 32)[0] == 1

    def segment(images, boxes):
        given.append((images, boxes))
        logits = torch.full((1, 1, 32, 32), -1.0)
        x0, y0, x1, y1 = boxes[0, 0].int().tolist()
        logits[0, 0, y0 : y1 + 1, x0 : x1 + 1] = 0.0
        return logits

    sam, _ = scores(SimpleNamespace(n_structures=1, segment=segment), case, 0.0)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    filled = np.zeros_like(mask)
    filled[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    assert sam.tolist() == [pytest.approx(dice(filled, mask))]
    (images, boxes), *others = given
    assert not others and boxes.tolist() == [[[columns[0], rows[0], columns[-1], rows[-1]]]]
    np.testing.assert_array_equal(images.numpy(), stack_images([case], 32))
