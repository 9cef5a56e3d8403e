"""Weights as people have them: wrapped, prefixed, in half precision, under a wrong name, damaged, or something else."""

import argparse
import json
import logging
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from pipeline.networks.given_weights import weight_files
from pipeline.networks.sam.official import read_official, to_transformers
from pipeline.networks.unet.encoder_weights import load_encoder
from pipeline.networks.unet.model import BackboneUNet
from pipeline.run.errors import InputError
from tests.tiny_sam import official_sam


def unet(backbone):
    base = SimpleNamespace(backbone=backbone, input_channels=3)
    settings = {"decoder_channels": (8,) * 5, "deep_supervision": False, "outputs": "independent"}
    return BackboneUNet(SimpleNamespace(base=base, **settings), 1)


@pytest.fixture(scope="module")
def resnet():
    from torchvision.models import resnet18

    torch.manual_seed(1)
    return resnet18(num_classes=3).state_dict()


@pytest.fixture(scope="module")
def sam():
    return official_sam().state_dict()


@pytest.fixture(scope="module")
def encoder():
    return unet("resnet18")


def as_encoder(encoder, path, state):
    load_encoder(encoder, str(path))
    found = encoder.encoder.state_dict()
    return all(torch.equal(found[name], state[name]) for name in found)


def as_sam(encoder, path, state):
    _, found = read_official(path)
    return found.keys() == {to_transformers(name) for name in state} and all(
        torch.equal(found[to_transformers(name)], value) for name, value in state.items()
    )


def behind(prefix):
    return lambda state: {f"{prefix}{name}": value for name, value in state.items()}


def under(*keys):
    def wrap(state):
        for key in reversed(keys):
            state = {key: state}
        return state | {"epoch": 7, "best": 0.9, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "lr": [0.1]}}

    return wrap


WRAPPINGS = {
    "plain": lambda state: state,
    **{key: under(key) for key in ("state_dict", "model", "model_state_dict", "net", "network", "params", "params_ema",
                                   "ema", "student", "teacher")},
    "nested twice": under("state", "model"),
    **{prefix: behind(prefix) for prefix in ("module.", "model.", "backbone.", "encoder.", "net.", "_orig_mod.", "sam.",
                                             "image_encoder.", "module.encoder_q.", "_orig_mod.module.model.")},
    "lightning": lambda state: under("state_dict")(behind("model.net.")(state)),
    "only the student fits": lambda state: {"student": behind("module.backbone.")(state),
                                            "teacher": {"module.head.weight": torch.ones(2)}},
    "parameters": lambda state: {name: torch.nn.Parameter(value) if value.is_floating_point() else value
                                 for name, value in state.items()},
}  # fmt: skip


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wrapped_weights_are_unwrapped(tmp_path, sam, wrapping):
    torch.save(WRAPPINGS[wrapping](sam), tmp_path / "weights.ckpt")
    assert as_sam(None, tmp_path / "weights.ckpt", sam)


# Both are opened by the same function; those of the SAM here are small.
@pytest.mark.parametrize("wrapping", ["module.encoder_q.", "lightning", "only the student fits", "parameters"])
def test_wrapped_weights_of_an_encoder_are_unwrapped(tmp_path, encoder, resnet, wrapping):
    torch.save(WRAPPINGS[wrapping](resnet), tmp_path / "weights.ckpt")
    assert as_encoder(encoder, tmp_path / "weights.ckpt", resnet)


def in_two_parts(state):
    """As some scripts save a SAM."""
    parts = {}
    for name, value in state.items():
        front, rest = name.split(".", 1)
        parts.setdefault(front, {})[rest] = value
    return parts


@pytest.mark.parametrize("change", [in_two_parts, lambda state: {to_transformers(k): v for k, v in state.items()}])
def test_other_forms_of_a_sam(tmp_path, sam, change):
    torch.save(change(sam), tmp_path / "sam.bin")
    assert as_sam(None, tmp_path / "sam.bin", sam)


def safetensors(state, path):
    path.write_bytes(save(state))


def legacy(state, path):
    torch.save(state, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("written", [safetensors, torch.save, legacy])
def test_what_a_file_holds_counts_and_not_its_name(tmp_path, encoder, resnet, written):
    written(resnet, path := tmp_path / "weights")
    for suffix in ("", ".pth", ".pt", ".bin", ".safetensors"):
        path = path.rename(tmp_path / f"weights{suffix}")
        assert as_encoder(encoder, path, resnet)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_converted(tmp_path, encoder, resnet, sam, dtype):
    half = {name: value.to(dtype) if value.is_floating_point() else value for name, value in resnet.items()}
    torch.save(half, tmp_path / "m.pth")
    rounded = {name: value.float() if value.is_floating_point() else value for name, value in half.items()}
    assert as_encoder(encoder, tmp_path / "m.pth", rounded)
    torch.save({name: value.to(dtype) for name, value in sam.items()}, tmp_path / "s.pth")
    assert {value.dtype for value in read_official(tmp_path / "s.pth")[1].values()} == {torch.float32}


@pytest.mark.parametrize(("name", "head"), [("convnext_atto", "head.fc"), ("resnet18", "fc")])
def test_weights_under_the_names_of_timm(tmp_path, name, head, caplog):
    import timm

    torch.manual_seed(2)
    state = timm.create_model(name).state_dict()
    assert f"{head}.weight" in state
    save_file(state, tmp_path / "model.safetensors")
    network = unet(f"tu-{name}")
    with caplog.at_level(logging.INFO):
        load_encoder(network, str(tmp_path / "model.safetensors"))
    assert "are no part of the encoder and left out, such as " in caplog.text
    # As the encoder itself spells them, inside a whole U-Net.
    torch.save(network.state_dict(), tmp_path / "unet.pth")
    again = unet(f"tu-{name}")
    load_encoder(again, str(tmp_path / "unet.pth"))
    for own in (network, again):
        found = own.encoder.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in spelt(found).items())


def spelt(state):
    import re

    return {re.sub(r"_(\d+)\.", r".\1.", name).removeprefix("model."): value for name, value in state.items()}


def test_a_deeper_network_of_the_same_family_is_refused(tmp_path, encoder):
    from torchvision.models import resnet34

    torch.save(resnet34().state_dict(), tmp_path / "m.pth")
    with pytest.raises(InputError, match=r"layer1\.2\.bn1\.bias is unknown.*as of a ResNet\); it is no file"):
        load_encoder(encoder, str(tmp_path / "m.pth"))


def nested_in_itself(state):
    state = dict(list(state.items())[:2])
    return state | {"again": state.setdefault("again", state)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {"student": s, "teacher": dict(s)}, "several would do, behind 'student.' and 'teacher.'; save the"),
        (lambda s: {"state_dict": s, "state_dict_ema": dict(s)}, "several would do"),
        (lambda s: {name: value for name, value in s.items() if name != "bn1.bias"}, r"\(bn1.bias is missing; it hol"),
        (lambda s: s | {"bn1.bias": torch.zeros(3)}, r"bn1.bias is \[3\], not \[64\]"),
        (lambda s: s | {"bn1.bias": torch.zeros(64, dtype=torch.int8)}, "bn1.bias holds torch.int8"),
        (lambda s: s | {"bn1.bias": torch.full((64,), torch.nan)}, "bn1.bias holds nan or inf"),
        (lambda s: {"model.diffusion_model.x": torch.ones(1)}, "the first 'model.diffusion_model.x', as of a Stable"),
        (lambda s: {"blocks.0.attn.qkv.bias": torch.ones(1)}, "1 tensors, the first .*, as of a vision transformer"),
        (nested_in_itself, "cut short or damaged: maximum recursion depth"),
        (lambda s: s | {"bn1.bias": torch.ones(3).to_sparse()}, r"bn1.bias is \[3\]"),
        (lambda s: s | {"bn1.bias": torch.ones(64) * 1j}, "bn1.bias holds torch.complex64"),
        (lambda s: {"a": 1}, "no tensors under names, but dict; save a state dict"),
        (lambda s: torch.ones(3), "no tensors under names, but Tensor"),
        (
            lambda s: {"state_dict": s, "hyper_parameters": argparse.Namespace(lr=1)},
            "more than tensors, argparse.Names",
        ),
        (lambda s: {"model": s, "score": np.float64(1)}, "more than tensors, numpy.*save the state dict alone"),
        (lambda s: torch.nn.Linear(2, 2), "more than tensors, torch.nn.modules.linear.Linear, and unpickling"),
    ],
)
def test_other_contents_are_named(tmp_path, encoder, resnet, change, words):
    torch.save(change(resnet), tmp_path / "m.pth")
    refused(encoder, tmp_path / "m.pth", words)


def refused(encoder, path, words):
    with pytest.raises(InputError, match=words) as caught:
        load_encoder(encoder, str(path))
    assert str(path) in str(caught.value) and "give weights of that backbone" in str(caught.value)
    assert "\n" not in str(caught.value)


def script(path, state):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), path)


def archive(path, state):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("weights/model.pth", b"...")


def cut(writer, share):
    def write(path, state):
        writer(state, path)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    return write


def flipped(path, state):
    torch.save(state, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def text(content):
    return lambda path, state: path.write_bytes(content)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 375042383\n"


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors", "weights.npz"])
@pytest.mark.parametrize(
    ("write", "words"),
    [
        (text(b""), "an empty file; download it again"),
        (text(LFS), "a Git LFS pointer to them; fetch them with `git lfs pull`"),
        (text(b"\n<!DOCTYPE html><html><title>Sign in</title>"), "a web page; download the file itself"),
        (text(b"\xef\xbb\xbf<html>"), "a web page"),
        (text(b'{"weight_map": {}}'), "a JSON text"),
        (text(b"outs:\n- md5: 00\n"), "a DVC pointer to them; fetch them with `dvc pull`"),
        (text(b"\x1f\x8b\x08\x00\x00"), "a gzip archive; unpack it"),
        (text(b"\x89HDF\r\n\x1a\n"), "an HDF5 file"),
        (text(b"hello, world"), "neither a PyTorch, a safetensors nor an .npz file"),
        (text(b"\x80\x02nonsense"), "cut short, damaged"),
        (script, "a TorchScript archive; save the state dict"),
        (archive, "a zip archive of other files; unpack it"),
        (cut(torch.save, 0.6), "cut short or damaged"),
        (cut(legacy, 0.6), "cut short"),
        (cut(safetensors, 0.6), "a safetensors file that is cut short or damaged"),
        (flipped, "cut short or damaged: .* differs from its checksum"),
        (lambda path, state: path.mkdir(), "a folder; name the file of weights in it"),
        (lambda path, state: None, "no such weights"),
    ],
)
def test_other_files_are_named(tmp_path, encoder, resnet, write, words, name):
    write(tmp_path / name, dict(list(resnet.items())[:20]))
    refused(encoder, tmp_path / name, words)


def test_a_shard_alone_asks_for_its_folder(tmp_path, sam):
    save_file(dict(list(sam.items())[:40]), path := tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(InputError, match="one of several shards, give their folder"):
        read_official(path)


def test_files_of_a_folder(tmp_path):
    def names(stem="model"):
        return [path.name for path in weight_files(tmp_path, stem)]

    def refusal(words):
        with pytest.raises(ValueError, match=words):
            weight_files(tmp_path)

    (tmp_path / "._model.safetensors").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / ".DS_Store").write_bytes(b"\x00")
    refusal(r"no model.safetensors among its files \(nothing\)")
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    refusal(r"\(pytorch_model.bin\)")
    index = {"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    save_file({"b": torch.ones(1)}, tmp_path / "model-1.safetensors")
    refusal("the shard model-2.safetensors is missing")
    (tmp_path / "model-2.safetensors").write_bytes(LFS)
    refusal("model-2.safetensors is a Git LFS pointer")
    save_file({"a": torch.ones(1)}, tmp_path / "model-2.safetensors")
    assert names() == ["model-1.safetensors", "model-2.safetensors"]
    save_file({"a": torch.ones(1)}, tmp_path / "unet.fp16.safetensors")
    assert names("unet") == ["unet.fp16.safetensors"]
    with pytest.raises(ValueError, match="a file, not a folder"):
        weight_files(tmp_path / "model-1.safetensors")
