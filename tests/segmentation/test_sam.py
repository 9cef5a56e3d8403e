from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from pipeline.core.errors import InputError
from pipeline.segmentation.sam import build_small_sam, decode

SMALL = SimpleNamespace(patch_size=8, hidden_size=32, layers=2, heads=2, decoder_size=32)


def small(n_structures=1, seed=0, **changes):
    torch.manual_seed(seed)
    return build_small_sam(SimpleNamespace(**vars(SMALL) | changes), 32, n_structures)


def pictures(count=3, size=32):
    """A bright disc of another place and size in each picture: images [-1, 1] and float masks."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    centres, radii = rng.uniform(0.35, 0.65, (count, 2)) * size, rng.uniform(0.2, 0.3, count) * size
    masks = np.stack([(y - cy) ** 2 + (x - cx) ** 2 < r**2 for (cy, cx), r in zip(centres, radii, strict=True)])
    images = np.where(masks, 0.5, -0.5) + rng.normal(0, 0.1, masks.shape)
    return torch.from_numpy(images[:, None]).float(), torch.from_numpy(masks[:, None]).float()


@pytest.mark.parametrize("patch", [4, 8, 16])
def test_logits_have_the_size_of_the_image(patch):
    logits = small(2, patch_size=patch)(pictures()[0])
    assert logits.shape == (3, 2, 32, 32)
    assert logits.isfinite().all()


def test_equal_seeds_give_equal_networks():
    images, _ = pictures()
    assert torch.equal(small(seed=1)(images), small(seed=1)(images))
    assert not torch.equal(small(seed=1)(images), small(seed=2)(images))


def test_a_case_does_not_depend_on_its_batch():
    images, _ = pictures()
    network = small().eval()
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=1e-4, atol=1e-5)


def test_agrees_with_the_decoder_of_transformers():
    """Token 0 is what ``SamModel`` returns as its single mask, tokens 1 to 3 as its three."""
    images, _ = pictures()
    network = small(4).eval()
    embeddings = network.embed(images)
    masks = decode(network.sam, embeddings, 4)
    single = network.sam(image_embeddings=embeddings, multimask_output=False).pred_masks[:, 0]
    several = network.sam(image_embeddings=embeddings, multimask_output=True).pred_masks[:, 0]
    torch.testing.assert_close(masks, torch.cat([single, several], dim=1), rtol=1e-4, atol=1e-5)


def test_pixels_are_normalised_as_sam_expects():
    seen = []
    network = small()
    network.sam.vision_encoder.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network.embed(torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 1, 32, 32))
    expected = (torch.tensor([[0.0] * 3, [255.0] * 3]) - torch.tensor([123.675, 116.28, 103.53])) / torch.tensor(
        [58.395, 57.12, 57.375]
    )
    torch.testing.assert_close(seen[0][:, :, 0, 0], expected)


def test_learns_while_the_position_code_stays():
    images, masks = pictures()
    network = small()
    code = network.sam.shared_image_embedding.positional_embedding
    before = code.clone()
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    assert not any(weight is code for weight in weights)
    optimizer = torch.optim.AdamW(weights, lr=3e-3)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(images), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert torch.equal(code, before)


def test_nothing_starts_dead():
    """transformers' own initialisation leaves the encoder at 1e-10; every weight that is used must get a gradient."""
    images, masks = pictures()
    network = small(4)
    network(images).sub(masks).square().mean().backward()
    encoder = dict(network.sam.vision_encoder.named_parameters())
    assert min(weight.std() for name, weight in encoder.items() if name.endswith("proj.weight")) > 0.01
    assert all(weight.grad.abs().max() > 0 for weight in encoder.values())


def test_state_survives_safetensors():
    network, other = small(seed=0), small(seed=1)
    other.load_state_dict(load(save(network.state_dict())))
    images, _ = pictures()
    assert torch.equal(network(images), other(images))


def test_too_many_structures():
    with pytest.raises(InputError, match="4 mask tokens but 5"):
        small(5)


def test_size_that_no_patch_fits():
    with pytest.raises(InputError, match="not a multiple"):
        build_small_sam(SMALL, 36, 1)
