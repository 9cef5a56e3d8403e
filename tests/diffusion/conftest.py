"""A Stable Diffusion model small enough for tests, in the folder format of the real ones."""

import json
import shutil

import pytest
import torch

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
