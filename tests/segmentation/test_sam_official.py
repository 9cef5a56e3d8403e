from functools import partial

import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from transformers.models.sam.modeling_sam import SamModel

from pipeline.core.errors import InputError
from pipeline.segmentation import sam_official
from pipeline.segmentation.sam import decode
from pipeline.segmentation.sam_official import load_official_sam, save_official_sam

SIZE, PATCH, CHANNELS = 64, 8, 32


def tiny(size=SIZE, windows=5):
    """The official implementation with small numbers; every tensor random, so that a swapped pair shows."""
    torch.manual_seed(0)
    grid = size // PATCH
    sam = Sam(
        image_encoder=ImageEncoderViT(
            img_size=size,
            patch_size=PATCH,
            embed_dim=48,
            depth=3,
            num_heads=3,
            out_chans=CHANNELS,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=windows,
            global_attn_indexes=(1,),
        ),
        prompt_encoder=PromptEncoder(CHANNELS, (grid, grid), (size, size), 16),
        mask_decoder=MaskDecoder(
            transformer_dim=CHANNELS,
            transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=64, num_heads=8),
            iou_head_hidden_dim=24,
        ),
    )
    with torch.no_grad():
        for weight in sam.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return sam.eval()


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "tiny.pth"
    torch.save(tiny().state_dict(), path)
    return path


@torch.no_grad()
def test_agrees_with_the_official_implementation(checkpoint):
    images = torch.rand(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    official, ours = tiny(), load_official_sam(checkpoint, SIZE, 4).eval()
    expected = official.image_encoder(official.preprocess((images.repeat(1, 3, 1, 1) + 1) * 127.5))
    found = ours.embed(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)

    _, dense = official.prompt_encoder(points=None, boxes=None, masks=None)
    # The official decoder takes one image at a time.
    masks = [
        official.mask_decoder.predict_masks(
            image_embeddings=embedding[None],
            image_pe=official.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=torch.zeros(1, 0, CHANNELS),
            dense_prompt_embeddings=dense,
        )[0]
        for embedding in expected
    ]
    torch.testing.assert_close(decode(ours.sam, found, 4), torch.cat(masks), rtol=0, atol=1e-4)
    large = official.postprocess_masks(torch.cat(masks), (SIZE, SIZE), (SIZE, SIZE))
    torch.testing.assert_close(ours(images), large, rtol=0, atol=1e-4)


def test_round_trip_is_bit_equal(checkpoint, tmp_path):
    save_official_sam(load_official_sam(checkpoint, SIZE, 1), tmp_path / "again.pth")
    before, after = (torch.load(path, weights_only=True) for path in (checkpoint, tmp_path / "again.pth"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    tiny().load_state_dict(after)


def test_saves_the_same_bytes_twice(checkpoint, tmp_path):
    model = load_official_sam(checkpoint, SIZE, 1)
    save_official_sam(model, tmp_path / "a.pth")
    save_official_sam(model, tmp_path / "b.pth")
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_another_size_interpolates_positions_only(checkpoint):
    state = torch.load(checkpoint, weights_only=True)
    model = load_official_sam(checkpoint, 96, 1)
    mapped = sam_official.official_state(model.sam)
    changed = {key for key in state if state[key].shape != mapped[key].shape}
    assert changed == {
        "image_encoder.pos_embed",
        "image_encoder.blocks.1.attn.rel_pos_h",
        "image_encoder.blocks.1.attn.rel_pos_w",
    }
    assert all(torch.equal(state[key], mapped[key]) for key in state.keys() - changed)
    assert mapped["image_encoder.pos_embed"].shape == (1, 12, 12, 48)
    assert mapped["image_encoder.blocks.1.attn.rel_pos_h"].shape == (23, 16)
    assert model(torch.zeros(1, 1, 96, 96)).shape == (1, 1, 96, 96)


def test_interpolation_keeps_what_is_smooth():
    ramp = torch.linspace(-1, 1, 64)
    embed = ramp[None, :, None, None].expand(1, 64, 64, 2)
    small = sam_official.resize("vision_encoder.pos_embed", embed, torch.Size((1, 16, 16, 2)))
    centres = (torch.arange(16) + 0.5) * 4 - 0.5
    expected = (centres / 63 * 2 - 1)[None, :, None, None].expand(1, 16, 16, 2)
    torch.testing.assert_close(small[:, 2:-2], expected[:, 2:-2], rtol=0, atol=1e-3)
    line = torch.linspace(-1, 1, 127)[:, None].expand(127, 3)
    short = sam_official.resize("vision_encoder.layers.2.attn.rel_pos_h", line, torch.Size((31, 3)))
    # Odd lengths keep distance zero at distance zero.
    torch.testing.assert_close(short[15], torch.zeros(3), rtol=0, atol=1e-6)
    torch.testing.assert_close(short, -short.flip(0), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "count"), [("vit_b", 314), ("vit_l", 482), ("vit_h", 594)])
def test_published_architectures_map_one_to_one(name, count):
    with torch.device("meta"):
        state = sam_model_registry[name]().state_dict()
        config = sam_official.architecture(state)
        sam = SamModel(config)
    assert len(state) == count
    assert sam_official.official_shapes(sam) == {key: value.shape for key, value in state.items()}
    assert all(sam_official.to_official(sam_official.to_transformers(key)) == key for key in state)
    assert config.vision_config.num_attention_heads == {"vit_b": 12, "vit_l": 16, "vit_h": 16}[name]
    assert config.vision_config.window_size == 14


def test_position_code_is_frozen(checkpoint):
    model = load_official_sam(checkpoint, SIZE, 1)
    assert not model.sam.shared_image_embedding.positional_embedding.requires_grad
    assert model.sam.vision_encoder.pos_embed.requires_grad


def broken(state, **changes):
    return {key: value for key, value in (state | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"mask_decoder.iou_token.weight": None}, "missing mask_decoder.iou_token.weight"),
        ({"extra.weight": torch.zeros(1)}, "unknown extra.weight"),
        ({"image_encoder.neck.2.weight": torch.zeros(2, 2)}, "of another shape image_encoder.neck.2.weight"),
        ({"image_encoder.pos_embed": None}, "image_encoder.pos_embed"),
        ({"image_encoder.blocks.0.attn.rel_pos_h": torch.zeros(7, 16)}, "window"),
    ],
)
def test_another_architecture_is_refused(checkpoint, changes, complaint):
    torch.save(broken(torch.load(checkpoint, weights_only=True), **changes), checkpoint)
    with pytest.raises(InputError, match=complaint) as caught:
        load_official_sam(checkpoint, SIZE, 1)
    assert str(checkpoint) in str(caught.value)
    assert "sam_vit_b_01ec64.pth" in str(caught.value)


def test_other_files_are_refused(tmp_path, checkpoint):
    from torchvision.models import resnet18

    resnet, short, text, pickled = (tmp_path / name for name in ("resnet.pth", "short.pth", "text.pth", "list.pth"))
    torch.save(resnet18().state_dict(), resnet)
    short.write_bytes(checkpoint.read_bytes()[:5000])
    text.write_text("not a checkpoint")
    torch.save({"model": tiny().state_dict()}, pickled)
    for path, complaint in (
        (resnet, "not a SAM checkpoint"),
        (short, "not a readable PyTorch checkpoint"),
        (text, "not a readable PyTorch checkpoint"),
        (pickled, "no state dict"),
        (tmp_path / "absent.pth", "no such checkpoint"),
        (tmp_path, "not a readable PyTorch checkpoint"),
    ):
        with pytest.raises(InputError, match=complaint) as caught:
            load_official_sam(path, SIZE, 1)
        assert "\n" not in str(caught.value)


def test_size_that_no_patch_fits(checkpoint):
    with pytest.raises(InputError, match="not a multiple"):
        load_official_sam(checkpoint, 68, 1)
