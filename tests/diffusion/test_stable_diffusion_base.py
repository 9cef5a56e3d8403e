"""Which Stable Diffusion folders open, and what is said about those that do not."""

import json
import shutil

import pytest
import torch

from pipeline.diffusion.stable_diffusion.base import load_base
from pipeline.run.errors import InputError


def forget_the_words(folder):
    for name in ("vocab.json", "merges.txt"):
        (folder / "tokenizer" / name).unlink()


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def pickle_only(folder):
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))


def hidden_only(folder):
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name(f"._{weights.name}"))


def pointer(folder):
    (folder / "vae/diffusion_pytorch_model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")


def one_file(folder):
    shutil.rmtree(folder)
    folder.write_bytes(b"x")


def lose_a_weight(folder):
    from safetensors.torch import load_file, save_file

    path = folder / "vae/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights.pop("decoder.conv_in.weight")
    save_file(weights, path, {"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (shutil.rmtree, ["no such file", "diffusion.weights", "model_index.json"]),
        (lambda f: (f / "model_index.json").unlink(), ["no diffusers model", "1.x or 2.x"]),
        (lambda f: edit(f / "model_index.json", _class_name="FluxPipeline"), ["holds a FluxPipeline", "1.x or 2.x"]),
        (lambda f: shutil.rmtree(f / "vae"), ["vae: this part of the model is missing"]),
        (lambda f: shutil.rmtree(f / "tokenizer"), ["tokenizer: this part of the model is missing"]),
        (lambda f: shutil.rmtree(f / "scheduler"), ["scheduler: this part of the model is missing"]),
        (pickle_only, ["no safetensors weights", "diffusion_pytorch_model.bin", "can run code"]),
        (lambda f: (f / "text_encoder/model.safetensors").write_bytes(b"broken"), ["not the weights of a CLIPText"]),
        (hidden_only, ["no safetensors weights", "(config.json)"]),
        (pointer, ["vae", "a Git LFS pointer", "git lfs pull"]),
        (one_file, ["a file, and a folder is wanted", "from_single_file"]),
        (lose_a_weight, ["vae", "decoder.conv_in.weight"]),
        (lambda f: edit(f / "unet/config.json", block_out_channels=[8, 24]), ["not the weights of a UNet2D"]),
        (lambda f: edit(f / "text_encoder/config.json", intermediate_size=24), ["weights have other shapes than its"]),
        (lambda f: (f / "tokenizer/vocab.json").write_text("{"), ["unreadable tokenizer"]),
        (forget_the_words, ["tokenizer does not know"]),
        (lambda f: edit(f / "scheduler/scheduler_config.json", prediction_type="sample"), ["predicts 'sample'"]),
    ],
)
def test_a_folder_that_will_not_do_is_refused_with_a_remedy(damage, words, tiny_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    damage(folder)
    with pytest.raises(InputError) as error:
        load_base(folder, "cpu")
    for word in ("model", *words):
        assert word in str(error.value)


def test_models_published_under_older_weight_names_open_the_same(tiny_model, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    path = folder / "text_encoder/model.safetensors"
    old = {f"text_model.{key}": weight for key, weight in load_file(path).items()}
    save_file(old | {"text_model.embeddings.position_ids": torch.arange(12)[None]}, path, {"format": "pt"})
    path = folder / "vae/diffusion_pytorch_model.safetensors"
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = {}
    for key, weight in load_file(path).items():
        for new, name in names.items():
            key = key.replace(f".{new}.", f".{name}.")
        old[key] = weight
    save_file(old, path, {"format": "pt"})
    before, after = load_base(tiny_model, "cpu"), load_base(folder, "cpu")
    for name in ("vae", "text_encoder"):
        weights = getattr(after, name).state_dict()
        assert all(torch.equal(weight, weights[key]) for key, weight in getattr(before, name).state_dict().items())


def test_a_model_of_half_precision_files_opens(tiny_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    for path in list(folder.glob("*/*.safetensors")):
        path.rename(path.with_suffix(".fp16.safetensors"))
    assert load_base(folder, "cpu").unet.dtype == torch.float32
