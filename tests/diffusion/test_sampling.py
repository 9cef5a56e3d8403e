import numpy as np
import pytest
import torch

from pipeline.core.errors import InputError
from pipeline.core.params import Warp
from pipeline.diffusion.denoiser import build_unet
from pipeline.diffusion.generator import MaskToImagePipeline, build_generator, load_generator
from pipeline.diffusion.masks import draw_masks
from pipeline.diffusion.sampling import generate, synthetic_cases

WARP = Warp(rotate_deg=5, scale=0.05, aspect=0.05, shift=0.02, elastic=0.0)


@pytest.fixture(scope="module")
def generator(smoke_config):
    torch.manual_seed(0)
    params = smoke_config.diffusion
    unet = build_unet(params.image_size, params.channels, params.layers, params.patch, 1)
    with torch.no_grad():
        for weight in unet.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return build_generator(unet.eval(), params, ("background", "head"), grey_mean=-0.7, grey_std=0.3)


@pytest.fixture
def draws(ring):
    return draw_masks([ring(i, height=30, width=40) for i in range(4)], 1, 32, 11, 0.0, WARP, seed=0)


@pytest.fixture
def sample_params(smoke_config):
    return smoke_config.sample.model_copy(update={"chunk_size": 4, "guidance": 1.5})


def test_an_image_does_not_depend_on_how_many_are_made(generator, draws, sample_params, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    many = generate(generator, draws, sample_params, 7, tmp_path / "a")
    few = generate(generator, draws[:5], sample_params, 7, tmp_path / "b")
    np.testing.assert_array_equal(many[:5], few)
    assert len({image.tobytes() for image in many}) == len(draws)


def test_interrupted_sampling_makes_only_what_is_missing(generator, draws, sample_params, tmp_path):
    whole = generate(generator, draws, sample_params, 7, tmp_path)
    kept = tmp_path / "chunk-00000.npy"
    before = kept.stat().st_mtime_ns
    (tmp_path / "chunk-00001.npy").unlink()
    np.testing.assert_array_equal(generate(generator, draws, sample_params, 7, tmp_path), whole)
    assert kept.stat().st_mtime_ns == before


def test_another_mask_or_seed_gives_another_image(generator, draws, sample_params, tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
    base = generate(generator, draws[:4], sample_params, 7, tmp_path / "a")
    reseeded = generate(generator, draws[:4], sample_params, 8, tmp_path / "b")
    remasked = generate(generator, draws[4:8], sample_params, 7, tmp_path / "c")
    assert (base != reseeded).any(axis=(1, 2)).all()
    assert (base != remasked).any(axis=(1, 2)).all()


def test_rows_carry_their_origin(draws):
    images = np.zeros((len(draws), 32, 32), np.uint8)
    cases = list(synthetic_cases(draws, images, 7))
    assert cases[0].image.shape == cases[0].mask.shape == (24, 32), "the padding is cut off"
    assert all(case.parent == draw.template.id for case, draw in zip(cases, draws, strict=True))
    assert len({case.seed for case in cases}) == len(cases)


def test_the_folder_is_a_diffusers_pipeline(generator, tmp_path):
    generator.save_pretrained(tmp_path / "model")
    loaded = load_generator(tmp_path / "model", "cpu")
    assert isinstance(loaded, MaskToImagePipeline)
    assert loaded.config["grey_mean"] == -0.7 and loaded.n_structures == 1
    plain = MaskToImagePipeline.from_pretrained(tmp_path / "model")
    for network in (loaded.unet, plain.unet):
        for a, b in zip(generator.unet.state_dict().values(), network.state_dict().values(), strict=True):
            assert torch.equal(a, b)


def test_no_generator_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="run the stage train_diffusion"):
        load_generator(tmp_path, "cpu")


def test_weights_of_another_architecture_are_refused(generator, tmp_path):
    generator.save_pretrained(tmp_path / "model")
    config = tmp_path / "model/unet/config.json"
    config.write_text(
        config.read_text().replace(
            '"block_out_channels": [\n    16,\n    32', '"block_out_channels": [\n    24,\n    32'
        )
    )
    with pytest.raises(InputError, match="not a mask-to-image diffusion model"):
        load_generator(tmp_path / "model", "cpu")
