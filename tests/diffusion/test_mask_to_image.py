"""The pipeline from masks to images: its sampler, what it is told and refuses, and its folder."""

import numpy as np
import pytest
import torch

from pipeline.diffusion.backends import open_generator
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.denoiser.generator import MaskToImagePipeline, load_generator
from pipeline.diffusion.denoiser.preconditioning import Preconditioning
from pipeline.run.errors import InputError
from tests.diffusion.untrained import BANK, random_generator


def test_images_repeat_and_obey_their_generators(generator, source):
    masks = torch.from_numpy(np.stack([source.draw(i).mask for i in range(3)]))

    def images(*seeds):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return generator(masks, generator=generators, num_inference_steps=4, output_type="np").images

    first = images(1, 2, 3)
    assert first.shape == (3, 32, 32) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, images(1, 2, 3))
    changed = images(1, 2, 9)
    assert (changed[2] != first[2]).any()


class Gaussian(torch.nn.Module):
    """The network whose D is exact for images of independent normal pixels with mean m and standard deviation s."""

    device = torch.device("cpu")

    def __init__(self, preconditioning, m: float, s: float):
        super().__init__()
        self.preconditioning, self.m, self.s = preconditioning, m, s
        self.calls = 0

    def forward(self, patches, timesteps):
        self.calls += 1
        sigma = torch.exp(timesteps / 1000 * 4)[:, None, None, None]
        noisy = patches[:, :1] / self.preconditioning.c_in(sigma)
        denoised = (self.s**2 * noisy + sigma**2 * self.m) / (self.s**2 + sigma**2)
        f = (denoised - self.preconditioning.c_skip(sigma) * noisy) / self.preconditioning.c_out(sigma)
        return type("Output", (), {"sample": f})


def test_samples_reach_the_distribution_of_a_known_denoiser(smoke_config):
    pipeline = random_generator(smoke_config.diffusion, patch=1, channels=(16, 16))
    oracle = Gaussian(Preconditioning(torch.tensor([0.5])), m=0.2, s=0.3)
    pipeline.unet = oracle
    masks = torch.zeros(8, 32, 32, dtype=torch.uint8)
    masks[:, 8:24, 8:24] = 1
    images = pipeline(
        masks, num_inference_steps=40, guidance_scale=1.0, output_type="pt",
        generator=[torch.Generator().manual_seed(i) for i in range(8)],
    ).images  # fmt: skip
    standard = (images + 0.7) / 0.3 * 0.5
    assert standard.mean().item() == pytest.approx(0.2, abs=0.02)
    assert standard.std().item() == pytest.approx(0.3, abs=0.03)
    assert oracle.calls == 40


def test_guidance_costs_calls_only_within_its_interval(smoke_config, source):
    pipeline = random_generator(smoke_config.diffusion)
    masks = torch.from_numpy(np.stack([source.draw(0).mask]))
    calls = []
    pipeline.unet.register_forward_hook(lambda *_: calls.append(1))

    def count(**options) -> int:
        calls.clear()
        pipeline(masks, num_inference_steps=10, generator=torch.Generator().manual_seed(0), **options)
        return len(calls)

    assert count(guidance_scale=1.0) == 10
    assert count(guidance_scale=2.0, guidance_interval=(0, 100)) == 20
    within = count(guidance_scale=2.0, guidance_interval=(0.2, 2.0))
    assert 10 < within < 20
    assert count(guidance_scale=2.0, guidance_interval=(1e3, 1e4)) == 10


def test_appearances_are_drawn_unless_they_are_given(generator, smoke_config):
    masks = torch.zeros(2, 32, 32, dtype=torch.uint8)
    masks[:, 8:24, 8:24] = 1

    def images(**options):
        generators = [torch.Generator().manual_seed(i) for i in range(2)]
        return generator(masks, generator=generators, num_inference_steps=3, output_type="pt", **options).images

    given = torch.tensor(BANK[:2])
    assert not torch.equal(images(appearances=given), images(appearances=given.flip(0)))
    assert torch.equal(images(appearances=given), images(appearances=given))
    untold = random_generator(smoke_config.diffusion, bank=None)
    with pytest.raises(InputError, match="not told of appearances"):
        untold(masks, appearances=given)


def test_pipeline_refuses_masks_it_does_not_know(generator):
    with pytest.raises(InputError, match=r"takes \(count, 32, 32\)"):
        generator(torch.zeros(1, 16, 16, dtype=torch.uint8))
    with pytest.raises(InputError, match="class indices 0 to 1"):
        generator(torch.full((1, 32, 32), 255, dtype=torch.uint8))


def test_the_folder_is_a_diffusers_pipeline(generator, tmp_path):
    generator.save_pretrained(tmp_path / "model")
    loaded = load_generator(tmp_path / "model", "cpu")
    assert isinstance(loaded, MaskToImagePipeline)
    assert loaded.code.mean.tolist() == pytest.approx([-0.7] * 4) and loaded.condition == Condition(1, 2, 7)
    plain = MaskToImagePipeline.from_pretrained(tmp_path / "model")
    masks = torch.zeros(2, 32, 32, dtype=torch.uint8)
    masks[:, 8:24, 8:24] = 1
    made = [
        p(masks, num_inference_steps=3, generator=torch.Generator().manual_seed(0), output_type="np").images
        for p in (generator, loaded, plain)
    ]
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])
    (picture, _) = plain(masks, num_inference_steps=2).images
    assert picture.size == (32, 32) and picture.mode == "L"
    assert {path.suffix for path in (tmp_path / "model").rglob("*") if path.is_file()} == {".json", ".safetensors"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_precision_asked_for_at_loading_is_honoured(generator, tmp_path, dtype):
    generator.save_pretrained(tmp_path)
    masks = torch.zeros(2, 32, 32, dtype=torch.uint8)
    masks[:, 8:24, 8:24] = 1

    def images(pipeline):
        options = {"num_inference_steps": 4, "generator": torch.Generator().manual_seed(0), "output_type": "pt"}
        return pipeline(masks, **options).images

    whole = images(generator)
    for pipeline in (
        MaskToImagePipeline.from_pretrained(tmp_path, torch_dtype=dtype),
        load_generator(tmp_path, "cpu").to(dtype),
    ):
        assert pipeline.unet.dtype == dtype
        half = images(pipeline)
        assert half.dtype == torch.float32 and not torch.equal(half, whole)
        torch.testing.assert_close(half, whole, atol=0.1, rtol=0)


def test_no_generator_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="run the stage train_diffusion"):
        open_generator(tmp_path, "cpu")


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
