import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.networks.sam.model import Sam
from pipeline.networks.sam.official import TIED, architecture, official_state, to_transformers
from pipeline.networks.sam.pretrained import at_resolution, matched_window, read_pretrained, resize
from pipeline.run.errors import InputError
from tests.tiny_sam import (
    HIDDEN,
    SIZE,
    in_transformers,
    official_embeddings,
    official_masks,
    official_sam,
    pictures,
)


@pytest.fixture(scope="module")
def official():
    return official_sam()


@pytest.fixture
def folder(official, tmp_path):
    """As published: the decoder's epsilon is transformers' default, not the official code's."""
    sam = in_transformers(official)
    sam.config.mask_decoder_config.layer_norm_eps = 1e-6
    sam.save_pretrained(tmp_path / "published")
    return tmp_path / "published"


@torch.no_grad()
def masks_of(source, size=SIZE):
    return Sam(at_resolution(*read_pretrained(source), size), 4).eval()(pictures(size))


@pytest.mark.parametrize("shard", ["1GB", "100KB"])
def test_a_folder_is_the_same_model_as_the_official_file(official, folder, tmp_path, shard):
    if shard == "100KB":
        in_transformers(official).save_pretrained(folder := tmp_path / "shards", max_shard_size=shard)
        assert len(list(folder.glob("*.safetensors"))) > 2
    torch.save(official.state_dict(), tmp_path / "tiny.pth")
    _, expected = read_pretrained(tmp_path / "tiny.pth")
    _, found = read_pretrained(folder)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    for size in (SIZE, 96):
        torch.testing.assert_close(masks_of(folder, size), masks_of(tmp_path / "tiny.pth", size), rtol=0, atol=1e-4)


def test_half_precision_is_read_too(folder, tmp_path, official):
    half = {key: value.half() for key, value in official.state_dict().items()}
    torch.save(half, tmp_path / "half.pth")
    torch.testing.assert_close(masks_of(tmp_path / "half.pth"), masks_of(folder), rtol=0, atol=1e-2)


def test_files_of_the_system_are_no_weights(folder):
    for name in (".DS_Store", "._x.safetensors", "._model.safetensors"):
        (folder / name).write_bytes(b"\x00\x05\x16\x07")
    assert read_pretrained(folder)[1]


def rewrite(folder, change):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def pickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def configured(**changes):
    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return change


def truncated(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (pickled, "is missing.*safetensors are needed"),
        (truncated, "no weights can be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), "is missing.*safetensors are needed"),
        (lambda folder: (folder / "config.json").unlink(), "config.json: no such file"),
        (configured(model_type="sam2"), "model_type is 'sam2', not 'sam'"),
        (configured(model_type=None), "model_type is 'None', not 'sam'"),
        (
            lambda folder: rewrite(folder, lambda state: state.pop("mask_decoder.iou_token.weight")),
            "iou_token.weight is missing",
        ),
        (lambda folder: rewrite(folder, lambda state: state.update(extra=torch.zeros(1))), "extra is unknown"),
        (
            lambda folder: rewrite(
                folder, lambda state: state.update({"vision_encoder.neck.conv1.weight": torch.ones(2)})
            ),
            "vision_encoder.neck.conv1.weight is .*, not",
        ),
        (configured(vision_config={"hidden_size": "large"}), "not that of a SAM .*hidden_size"),
    ],
)
def test_other_folders_are_refused(folder, damage, complaint):
    damage(folder)
    with pytest.raises(InputError, match=complaint) as caught:
        read_pretrained(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="absent: no such weights"):
        read_pretrained(tmp_path / "absent")


@torch.no_grad()
def test_agrees_with_the_official_implementation_at_1024_pixels():
    """Windows of 14 do not tile the grid of 64 and are padded, as published."""
    official = official_sam(size=1024, patch=16, window=14, hidden=16, depth=2, heads=1)
    images = pictures(1024, 1)
    expected = official_embeddings(official, images)
    ours = Sam(in_transformers(official, 1024), 4).eval()
    assert ours.sam.config.vision_config.window_size == 14
    found = ours.embed(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(torch.cat(ours.masks(found, ())), official_masks(official, expected), rtol=0, atol=1e-4)


def test_another_size_interpolates_positions_only(official):
    state = official.state_dict()
    sam = in_transformers(official, 96, window=5)
    mapped = official_state(sam.state_dict())
    changed = {key for key in state if state[key].shape != mapped[key].shape}
    assert changed == {
        "image_encoder.pos_embed",
        "image_encoder.blocks.1.attn.rel_pos_h",
        "image_encoder.blocks.1.attn.rel_pos_w",
    }
    assert all(torch.equal(state[key], mapped[key]) for key in state.keys() - changed)
    assert mapped["image_encoder.pos_embed"].shape == (1, 12, 12, HIDDEN)
    assert mapped["image_encoder.blocks.1.attn.rel_pos_h"].shape == (23, 16)
    # A window that tiles changes the windowed layers' positions too.
    matched = official_state(in_transformers(official, 96).state_dict())
    assert matched["image_encoder.blocks.0.attn.rel_pos_h"].shape == (11, 16)


@pytest.mark.parametrize("window", [5, None])
@torch.no_grad()
def test_any_window_segments_at_another_size(official, window):
    network = Sam(in_transformers(official, 96, window), 2).eval()
    masks = network(pictures(96))
    assert masks.shape == (2, 2, 96, 96)
    assert masks.isfinite().all()
    assert masks.std() > 0.01


def test_interpolation_keeps_what_is_smooth():
    ramp = torch.linspace(-1, 1, 64)
    embed = ramp[None, :, None, None].expand(1, 64, 64, 2)
    small = resize("vision_encoder.pos_embed", embed, torch.Size((1, 16, 16, 2)))
    centres = (torch.arange(16) + 0.5) * 4 - 0.5
    expected = (centres / 63 * 2 - 1)[None, :, None, None].expand(1, 16, 16, 2)
    torch.testing.assert_close(small[:, 2:-2], expected[:, 2:-2], rtol=0, atol=1e-3)
    line = torch.linspace(-1, 1, 127)[:, None].expand(127, 3)
    short = resize("vision_encoder.layers.2.attn.rel_pos_h", line, torch.Size((31, 3)))
    # Odd lengths keep distance zero at distance zero.
    torch.testing.assert_close(short[15], torch.zeros(3), rtol=0, atol=1e-6)
    torch.testing.assert_close(short, -short.flip(0), rtol=0, atol=1e-6)


def test_nothing_but_positions_is_interpolated():
    with pytest.raises(AssertionError, match="does not depend on the input size"):
        resize("vision_encoder.neck.conv1.weight", torch.zeros(2, 3), torch.Size((4, 3)))


@pytest.mark.parametrize(
    ("grid", "window"),
    [(64, 14), (16, 16), (32, 16), (24, 12), (28, 14), (48, 16), (20, 10), (10, 10), (13, 13), (29, 29), (58, 29)],
)
def test_windows_tile_the_grid(grid, window):
    """The trained grid keeps its window; a prime grid has but one patch and itself."""
    assert matched_window(grid, 64, 14) == window


@torch.no_grad()
def test_windows_that_tile_add_nothing_of_their_own(official):
    """Without positions every patch of a flat image is the same, unless a window holds padding too."""
    flat = official_sam()
    for key, weight in flat.image_encoder.named_parameters():
        if "pos" in key:
            weight.zero_()
    image = torch.full((1, 1, 96, 96), 0.25)
    found = {window: Sam(in_transformers(flat, 96, window), 1).eval().embed(image) for window in (2, 3, 6, 12, 5)}
    for window in (3, 6, 12):
        torch.testing.assert_close(found[window], found[2], rtol=0, atol=1e-4)
    assert (found[5] - found[2]).abs().max() > 0.01


@torch.no_grad()
def test_a_window_as_large_as_the_grid_is_global_attention(official):
    state = {to_transformers(key): value for key, value in official.state_dict().items()}
    config = architecture(official.state_dict())
    windowed = at_resolution(config, state, 96, window=12)
    config.vision_config.global_attn_indexes = [0, 1, 2]
    everywhere = at_resolution(config, state, 96)
    images = pictures(96).expand(-1, 3, -1, -1)
    expected = everywhere.eval().vision_encoder(images).last_hidden_state
    torch.testing.assert_close(windowed.eval().vision_encoder(images).last_hidden_state, expected, rtol=0, atol=1e-4)


def test_the_original_configuration_is_left_alone(official):
    config = architecture(official.state_dict())
    before = config.to_dict()
    state = {to_transformers(key): value for key, value in official.state_dict().items()}
    sam = at_resolution(config, state, 96)
    assert config.to_dict() == before
    assert sam.config.vision_config.image_size == sam.config.prompt_encoder_config.image_size == 96
    assert torch.equal(sam.state_dict()[TIED], state["shared_image_embedding.positional_embedding"])


def test_size_that_no_patch_fits(official):
    with pytest.raises(InputError, match="68 is not a multiple of this SAM's patch size 8"):
        in_transformers(official, 68)
