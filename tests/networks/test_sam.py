from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.networks.sam.compact import build_compact_sam
from pipeline.networks.sam.model import Sam, decode, mask_logits
from pipeline.networks.sam.prompts import boxes_around
from pipeline.networks.sam.tuning import choose_trained
from pipeline.networks.weights import load_weights, save_tensors
from pipeline.run.errors import InputError
from tests import tiny_sam

COMPACT = SimpleNamespace(patch_size=8, hidden_size=32, layers=2, heads=2, decoder_size=32, widths=(8, 12, 16))
PROMPTS = ("none", "whole_box", "predicted_box")


def compact(n_structures=1, seed=0, prompt="none", **changes):
    torch.manual_seed(seed)
    network = build_compact_sam(SimpleNamespace(**vars(COMPACT) | changes), 32, n_structures)
    network.prompt = prompt
    return network


def like_official(n_structures=2, **options):
    return Sam(tiny_sam.in_transformers(tiny_sam.official_sam()), n_structures, **options).eval()


def pictures(count=3, size=32):
    """A bright disc of another place and size in each picture: images [-1, 1] and float masks."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    centres, radii = rng.uniform(0.35, 0.65, (count, 2)) * size, rng.uniform(0.2, 0.3, count) * size
    masks = np.stack([(y - cy) ** 2 + (x - cx) ** 2 < r**2 for (cy, cx), r in zip(centres, radii, strict=True)])
    images = np.where(masks, 0.5, -0.5) + rng.normal(0, 0.1, masks.shape)
    return torch.from_numpy(images[:, None]).float(), torch.from_numpy(masks[:, None]).float()


@pytest.mark.parametrize(("patch", "widths"), [(4, (8, 12)), (8, (8, 12, 16)), (16, (8, 8, 12, 16))])
def test_logits_have_the_size_of_the_image(patch, widths):
    network = compact(2, patch_size=patch, widths=widths).eval()
    logits = network(pictures()[0])
    assert logits.shape == (3, 2, 32, 32)
    assert logits.isfinite().all()
    assert network.embed(pictures()[0]).shape == (3, 32, 32 // patch, 32 // patch)


def test_equal_seeds_give_equal_networks():
    images, _ = pictures()
    first, again, other = (compact(seed=seed).eval()(images) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_case_does_not_depend_on_its_batch(prompt):
    images, _ = pictures()
    network = compact(2, prompt=prompt).eval()
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_agrees_with_the_decoder_of_transformers():
    """Token 0 is what ``SamModel`` returns as its single mask, tokens 1 to 3 as its three."""
    network = compact(4).eval()
    embeddings = network.embed(pictures()[0])
    masks = mask_logits(network.sam, *decode(network.sam, embeddings, 4))
    torch.testing.assert_close(masks, masks_of_transformers(network.sam, embeddings), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_agrees_with_transformers_on_a_box_for_every_structure():
    network = like_official(4)
    embeddings = network.embed(tiny_sam.pictures())
    corners = torch.randint(0, 32, (2, 4, 2), generator=torch.Generator().manual_seed(0))
    boxes = torch.cat([corners, corners + torch.tensor([20, 31])], dim=2).float()
    found = network.masks_in_boxes(embeddings, (), boxes)[-1]
    for image in range(2):
        for k in range(4):
            expected = masks_of_transformers(network.sam, embeddings[image, None], boxes[image, k].view(1, 1, 4))
            expected = functional.interpolate(expected, size=(64, 64), mode="bilinear", align_corners=False)
            torch.testing.assert_close(found[image, k], expected[0, k], rtol=1e-4, atol=1e-4)


def masks_of_transformers(sam, embeddings, boxes=None):
    single, several = (
        sam(image_embeddings=embeddings, input_boxes=boxes, multimask_output=many).pred_masks[:, 0]
        for many in (False, True)
    )
    return torch.cat([single, several], dim=1)


def test_pixels_are_normalised_as_sam_expects():
    seen = []
    network = like_official()
    network.sam.vision_encoder.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network.embed(torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 1, 64, 64))
    mean, deviation = torch.tensor([[123.675, 116.28, 103.53], [58.395, 57.12, 57.375]])
    torch.testing.assert_close(seen[0][:, :, 0, 0], (torch.tensor([[0.0], [255.0]]) - mean) / deviation)


def test_learns_while_the_position_code_stays():
    images, masks = pictures()
    network = compact()
    codes = [
        network.sam.shared_image_embedding.positional_embedding,
        network.sam.prompt_encoder.shared_embedding.positional_embedding,
    ]
    before = codes[0].clone()
    # A decaying optimizer moves whatever it is given, with a gradient or without.
    optimizer = torch.optim.AdamW([weight for weight in network.parameters() if weight.requires_grad], lr=3e-3)
    losses = []
    for _ in range(40):
        loss = functional.binary_cross_entropy_with_logits(network(images)[-1], masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert all(torch.equal(code, before) for code in codes)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_nothing_starts_dead(prompt):
    """transformers' own initialisation leaves the encoder at 1e-10; every weight that is used must get a gradient."""
    images, masks = pictures()
    network = compact(2, prompt=prompt)
    choose_trained(network, "full", 1)
    sum((logits - masks).square().mean() for logits in network(images)).backward()
    encoder = network.sam.vision_encoder.named_parameters()
    assert min(weight.std() for name, weight in encoder if name.endswith("proj.weight")) > 0.01
    # What every key has in common does not change a softmax.
    used = {name: w.grad for name, w in network.named_parameters() if w.requires_grad and "k_proj.bias" not in name}
    assert not [name for name, grad in used.items() if grad is None or not grad.any()]


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize(("prompt", "passes"), [("none", 1), ("whole_box", 1), ("predicted_box", 2)])
def test_training_sees_every_mask_and_the_final_one_last(prompt, passes, refined):
    if refined:
        # SAM's own masks and the finer head's, which starts by changing nothing.
        images, count = tiny_sam.pictures(), 2 * passes
        network = like_official(n_structures=2, prompt=prompt, detail=(8, 12, 16))
        torch.nn.init.normal_(network.detail.weights.weight)
    else:
        images, count = pictures()[0], passes
        network = compact(2, prompt=prompt)
    every, final = network.train()(images), network.eval()(images)
    assert isinstance(every, tuple)
    assert len(every) == count
    assert torch.equal(every[-1], final)
    assert not any(torch.equal(masks, final) for masks in every[:-1])


@torch.no_grad()
def test_known_embeddings_need_no_image():
    images = tiny_sam.pictures()
    network = like_official()
    assert torch.equal(network(None, network.embed(images)), network(images))
    images, _ = pictures()
    network = compact().eval()
    assert torch.equal(network(images, network.embed(images)), network(images))


@torch.no_grad()
def test_whole_box_is_the_whole_input_for_every_structure():
    images = tiny_sam.pictures()
    network = like_official()
    unprompted = network(images)
    boxes = torch.tensor([0.0, 0.0, 63.0, 63.0]).repeat(2, 2, 1)
    network.prompt = "whole_box"
    assert torch.equal(network(images), network.segment(images, boxes))
    assert not torch.allclose(network(images), unprompted)


@torch.no_grad()
def test_predicted_box_is_a_second_pass_in_what_the_first_one_found():
    images = tiny_sam.pictures()
    network = like_official()
    boxes = boxes_around(network(images) >= 0)
    network.prompt = "predicted_box"
    torch.testing.assert_close(network(images), network.segment(images, boxes))


def test_boxes_are_tight_around_the_first_pass_or_whole(monkeypatch):
    network = compact(2, prompt="predicted_box").eval()
    first = torch.full((1, 2, 32, 32), -1.0)
    first[0, 0, 5:9, 20] = first[0, 0, 7, 3] = 0.0
    monkeypatch.setattr(network, "masks", lambda *_: (-first, first))
    monkeypatch.setattr(network, "masks_in_boxes", lambda embeddings, details, boxes: (boxes,))
    assert network(pictures(1)[0])[0].tolist() == [[3, 5, 20, 8], [0, 0, 31, 31]]


@pytest.mark.parametrize("prompt", PROMPTS)
@torch.no_grad()
def test_a_new_detail_head_leaves_pretrained_masks_as_they_are(prompt):
    images = tiny_sam.pictures()
    plain, detailed = like_official(prompt=prompt), like_official(prompt=prompt, detail=(8, 12, 16))
    assert torch.equal(plain(images), detailed(images))
    detailed.detail.weights.bias.fill_(1.0)
    assert not torch.equal(plain(images), detailed(images))


def test_state_survives_the_disk(tmp_path):
    """Shared and channels-last tensors are what safetensors refuses."""
    network, other = compact(seed=0).eval(), compact(seed=1).eval()
    save_tensors(tmp_path, "sam", network.state_dict(), {})
    load_weights(tmp_path, "sam", other)
    images, _ = pictures()
    assert torch.equal(network(images), other(images))


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: compact(5), "4 mask tokens but 5"),
        (lambda: compact(0), "4 mask tokens but 0"),
        (lambda: compact(widths=(8, 12)), "has 2 widths; patches of 8 px need 3"),
        (lambda: like_official(detail=(8, 12)), "base.detail has 2 widths; patches of 8 px need 3"),
    ],
)
def test_what_does_not_fit_is_refused(build, complaint):
    with pytest.raises(InputError, match=complaint):
        build()
