"""Six cases and their views, a denoiser of random weights, and a Stable Diffusion small enough for tests."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from pipeline.diffusion.training_set import build_training_set
from tests.diffusion.encoded import STRUCTURES, saved, told

SPECIAL = "<|startoftext|>", "<|endoftext|>"


def tiny_networks() -> dict:
    """Random weights under seed 0; the VAE reduces by 8, the text encoder knows the letters."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=57,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=12,
        bos_token_id=55,
        eos_token_id=56,
        pad_token_id=56,
    )
    return {
        "vae": AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            norm_num_groups=4,
            latent_channels=4,
            sample_size=64,
        ),
        "unet": UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            norm_num_groups=4,
            cross_attention_dim=16,
            attention_head_dim=2,
        ),
        "text_encoder": CLIPTextModel(text),
    }


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of a Stable Diffusion model, as its makers publish it; copy it before changing it."""
    from diffusers import PNDMScheduler, StableDiffusionPipeline
    from transformers import CLIPTokenizer

    folder = tmp_path_factory.mktemp("stable-diffusion")
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [*letters, *(letter + "</w>" for letter in letters), "he", "hea", "head</w>", *SPECIAL]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    source = folder / "source"
    source.mkdir()
    (source / "vocab.json").write_text(json.dumps(vocabulary))
    (source / "merges.txt").write_text("#version: 0.2\nh e\nhe a\nhea d</w>\n")
    scheduler = PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)
    StableDiffusionPipeline(
        **tiny_networks(),
        tokenizer=CLIPTokenizer(str(source / "vocab.json"), str(source / "merges.txt"), model_max_length=12),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder / "model")
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(source / name, folder / "model/tokenizer")
    (folder / "model/tokenizer/tokenizer.json").unlink(missing_ok=True)
    return folder / "model"


@pytest.fixture(scope="module")
def cases(ring):
    return [ring(i) for i in range(6)]


@pytest.fixture(scope="module")
def data(cases):
    """The cases as a training set, the last two without their labels."""
    unlabelled = [replace(case, mask=None, mask_source=None) for case in cases[4:]]
    return build_training_set(cases[:4], unlabelled, STRUCTURES, 32)


@pytest.fixture(scope="module")
def settings(smoke_config):
    """Of the views, with the network told nothing of the augmentation."""
    return told(smoke_config.views, False)


@pytest.fixture(scope="module")
def folder(data, settings, tmp_path_factory):
    """A folder of views of ``data``."""
    return saved(data, settings, tmp_path_factory.mktemp("views"))


@pytest.fixture(scope="module")
def generator(smoke_config):
    """A denoiser of random weights at 32 px."""
    from tests.diffusion.untrained import random_generator

    return random_generator(smoke_config.diffusion)


@pytest.fixture
def source(ring):
    """Masks for ``generator``, each a warped label."""
    from pipeline.config.sample import MaskShares
    from pipeline.diffusion.masks import MaskSource
    from tests.diffusion.untrained import WARP

    labels = [ring(i, height=30, width=40, pixel_mm=0.5) for i in range(4)]
    return MaskSource(labels, 1, 32, MaskShares(parent=1, shape_model=0, user=0), WARP, 0)
