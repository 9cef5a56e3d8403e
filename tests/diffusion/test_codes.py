"""Image codes: there and back, orthogonality, no block edges, standardised channels, and refusals."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.config.views import LinearCodeSection, PixelCodeSection, Taef2CodeSection, VaeCodeSection
from pipeline.diffusion.codes.choice import CODES, fitted_code, weights_of
from pipeline.diffusion.codes.code import darkened
from pipeline.diffusion.codes.linear import LinearCode, lapping
from pipeline.diffusion.codes.pixel import PixelCode
from pipeline.diffusion.codes.taef2 import Taef2Code, open_taef2
from pipeline.run.errors import InputError
from tests.diffusion.conftest import tiny_networks


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """uint8 [6, 64, 64], smooth shapes with a fine grain."""
    rows, columns = np.mgrid[:64, :64]
    rng = np.random.default_rng(0)
    found = []
    for i in range(6):
        shape = np.hypot((rows - 32) / (14 + 2 * i), (columns - 30) / 20) < 1
        found.append(np.clip(40 + 110 * shape + rng.normal(0, 6, shape.shape), 0, 255))
    return torch.from_numpy(np.stack(found).astype(np.uint8))


def grey(images: torch.Tensor) -> torch.Tensor:
    return images[:, None].float() / 127.5 - 1


def everywhere(images: torch.Tensor) -> torch.Tensor:
    return torch.ones(images.shape, dtype=torch.bool)


def linear(size=64, block=8, components=64, lapped=True, images=None) -> LinearCode:
    code = LinearCode(size, block, components, lapped)
    if images is not None:
        code.fit(grey(images))
    return code


@pytest.mark.parametrize("size", [16, 64, 256])
@pytest.mark.parametrize("block", [4, 8, 16])
def test_lapping_is_orthogonal_and_leaves_the_rim(size, block):
    mixing = lapping(size, block).double()
    torch.testing.assert_close(mixing @ mixing.T, torch.eye(size).double(), atol=1e-6, rtol=0)
    half = block // 2
    assert torch.equal(mixing[:half, :half].float(), torch.eye(half))


def test_lapped_cosine_transform_has_the_published_coding_gain():
    """9.22 dB for a first-order process of correlation .95 (Malvar 1992, table 1.1), 8.83 dB without lapping."""
    from pipeline.diffusion.codes.linear import _cosine

    correlation = 0.95 ** np.abs(np.subtract.outer(np.arange(64), np.arange(64)))
    blocks = np.kron(np.eye(8), _cosine(8, 2))

    def gain(transform):
        variances = np.diag(transform @ correlation @ transform.T).reshape(8, 8)[3]
        return 10 * np.log10(variances.mean() / np.exp(np.log(variances).mean()))

    assert gain(blocks @ lapping(64, 8).double().numpy()) == pytest.approx(9.22, abs=0.01)
    assert gain(blocks) == pytest.approx(8.83, abs=0.01)


@pytest.mark.parametrize("lapped", [True, False])
def test_all_components_rebuild_the_image_and_keep_its_energy(pictures, lapped):
    code, images = linear(images=pictures, lapped=lapped), grey(pictures)
    torch.testing.assert_close(code.images(code.raw(images)), images, atol=1e-5, rtol=0)
    torch.testing.assert_close(code.raw(images).square().sum(), images.square().sum(), rtol=1e-4, atol=0)


def test_more_components_rebuild_better_and_none_is_better_than_the_principal_ones(pictures):
    images = grey(pictures)

    def error(code):
        return float((code.images(code.raw(images)) - images).square().mean())

    errors = [error(linear(components=n, images=pictures)) for n in (4, 16, 32)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < error(linear(components=16)), "the first 16 pixels of a block are no principal components"


def test_a_lapped_code_draws_no_block_edges(pictures):
    """Where a code is disturbed, as a generator disturbs it, jumps between blocks stay as small as those inside."""

    def edge(lapped):
        code = linear(components=16, lapped=lapped, images=pictures)
        noise = 0.3 * torch.randn(8, 16, 8, 8, generator=torch.Generator().manual_seed(0))
        jumps = code.images(noise).diff(dim=-1).abs().mean(dim=(0, 1, 2))
        return float(jumps[7::8].mean() / np.delete(jumps.numpy(), np.arange(7, 63, 8)).mean())

    assert edge(False) > 1.8 and edge(True) < 1.4


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_channels_are_standardised(pictures, whitening):
    code = linear(components=16, images=pictures)
    code.standardise(grey(pictures), whitening)
    codes = code.encode(grey(pictures))
    assert codes.mean(dim=(0, 2, 3)).abs().max() < 1e-3
    torch.testing.assert_close(codes.std(dim=(0, 2, 3), correction=0), code.sigma_data, rtol=1e-3, atol=1e-4)
    assert code.sigma_data.square().mean().sqrt() == pytest.approx(0.5, abs=0.5 if whitening == 0.5 else 1e-3)
    if whitening == 1:
        torch.testing.assert_close(code.sigma_data, torch.full((16,), 0.5))
    if whitening == 0:
        torch.testing.assert_close(code.scale, code.scale[:1].expand(16))
    torch.testing.assert_close(code.decode(codes), code.images(code.raw(grey(pictures))), atol=1e-5, rtol=0)


def test_a_channel_that_never_varies_does_no_harm(pictures):
    flat = torch.full_like(pictures, 9)
    code = linear(components=16, images=pictures)
    code.standardise(grey(flat), 1.0)
    assert code.encode(grey(pictures)).isfinite().all() and code.encode(grey(flat)).abs().max() < 0.2


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_pixels_are_a_code_whose_channels_count_alike(pictures, patch):
    code = PixelCode(patch)
    code.standardise(grey(pictures), 1.0)
    codes = code.encode(grey(pictures))
    assert codes.shape == (6, patch**2, 64 // patch, 64 // patch)
    assert codes.mean() == pytest.approx(0, abs=1e-3) and codes.std() == pytest.approx(0.5, abs=1e-3)
    torch.testing.assert_close(code.decode(codes), grey(pictures), atol=1e-5, rtol=0)
    assert len(set(code.scale.tolist())) == 1


@pytest.fixture
def taef2(tmp_path):
    """The two files in their publisher's form, with random weights."""
    torch.manual_seed(0)
    code = Taef2Code()
    paths = {name: tmp_path / f"taef2_{name}.pth" for name in ("encoder", "decoder")}
    for name, path in paths.items():
        torch.save({key: value.half() for key, value in getattr(code, name).state_dict().items()}, path)
    return paths


def test_taef2_has_the_tensors_of_its_files(taef2):
    code = open_taef2(**taef2)
    state = torch.load(taef2["encoder"], weights_only=True)
    assert len(state) == 79 and state["11.pool.0.weight"].shape == (256, 64, 1, 1)
    assert code.raw(torch.zeros(1, 1, 32, 32)).shape == (1, 32, 4, 4)
    assert code.images(torch.zeros(1, 32, 4, 4)).shape == (1, 1, 32, 32)


def test_real_taef2_rebuilds_real_images(root):
    from PIL import Image

    from pipeline.imaging.letterbox import letterbox

    files = {name: root / f"../shared/checkpoints/taef2_{name}.pth" for name in ("encoder", "decoder")}
    folder = root / "../shared/data/hc18/training_set"
    if not all(path.exists() for path in (*files.values(), folder)):
        pytest.skip("TAEF2's files or HC18 are not beside this checkout")
    images = [np.asarray(Image.open(path).convert("L")) for path in sorted(folder.glob("*_HC.png"))[:2]]
    pixels = grey(torch.from_numpy(np.stack([letterbox(image, 256)[0] for image in images])))
    code = open_taef2(**files)
    with torch.inference_mode():
        latents = code.raw(pixels)
        error = (code.images(latents) - pixels).square().mean() / 4
    assert -10 * error.log10() > 34 and latents.std() == pytest.approx(0.75, abs=0.1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda paths: paths["encoder"].unlink(), "taef2_encoder.pth: no such weights; key 'views.code.encoder' names"),
        (lambda paths: paths["decoder"].write_bytes(b"PK"), "taef2_decoder.pth: no weights can be read"),
        (lambda paths: paths["decoder"].write_bytes(paths["encoder"].read_bytes()), "weights of another architecture"),
        (lambda paths: torch.save({"1.weight": torch.zeros(64, 16, 3, 3)}, paths["decoder"]), "another architecture"),
    ],
    ids=["missing", "truncated", "swapped", "channels"],
)
def test_other_files_of_taef2_are_named(taef2, change, told):
    change(taef2)
    with pytest.raises(InputError, match=told):
        open_taef2(**taef2)


@pytest.fixture
def vae(tmp_path):
    network = tiny_networks()["vae"]
    network.save_pretrained(tmp_path / "vae")
    return tmp_path / "vae"


def test_a_vae_is_a_code(vae, pictures):
    code = fitted_code(VaeCodeSection(kind="vae", weights=str(vae), whitening=0.0), pictures, everywhere(pictures))
    assert (code.channels, code.factor) == (4, 8) and code.encode(grey(pictures)).shape == (6, 4, 8, 8)
    assert code.decode(code.encode(grey(pictures))).shape == (6, 1, 64, 64)


def test_other_folders_of_a_vae_are_named(vae, tmp_path, pictures):
    def opened(folder):
        return fitted_code(
            VaeCodeSection(kind="vae", weights=str(folder), whitening=0.0), pictures, everywhere(pictures)
        )

    with pytest.raises(InputError, match=r"nowhere: .*views.code.weights"):
        opened(tmp_path / "nowhere")
    save_file({"a": torch.zeros(1)}, vae / "diffusion_pytorch_model.safetensors")
    with pytest.raises(InputError, match="are missing"):
        opened(vae)


@pytest.mark.parametrize("kind", ["pixel", "linear", "taef2", "vae"])
def test_a_saved_code_is_the_same_code(kind, pictures, taef2, vae, tmp_path):
    section = {
        "pixel": PixelCodeSection(kind="pixel", patch=2),
        "linear": LinearCodeSection(kind="linear", block=8, components=20, lapped=True, whitening=0.5),
        "taef2": Taef2CodeSection(
            kind="taef2", encoder=str(taef2["encoder"]), decoder=str(taef2["decoder"]), whitening=0.0
        ),
        "vae": VaeCodeSection(kind="vae", weights=str(vae), whitening=0.0),
    }[kind]
    code = fitted_code(section, pictures, everywhere(pictures))
    code.save_pretrained(tmp_path / "saved")
    again = CODES[type(code).__name__].from_pretrained(tmp_path / "saved", low_cpu_mem_usage=False)
    images = grey(pictures[:2])
    torch.testing.assert_close(again.encode(images), code.encode(images))
    assert code.factor == section.factor and all(path.exists() for path in weights_of(section))
    assert len(weights_of(section)) == {"pixel": 0, "linear": 0, "taef2": 2, "vae": 1}[kind]
    assert str(tmp_path) not in (tmp_path / "saved/config.json").read_text()


def test_black_outside_the_sector_is_coded_below_black():
    """Noise of less than the headroom leaves it black; what is bright there, and the dark inside, stay as they are."""
    images = torch.full((1, 32, 32), 40, dtype=torch.uint8)
    images[:, :, 16:], images[:, 4:8, 20:28], images[:, 8:12, 4:8] = 0, 200, 0
    sectors = torch.zeros(1, 32, 32, dtype=torch.bool)
    sectors[:, :, :16] = True
    moved = darkened(grey(images), sectors, 0.25)
    black = ~sectors[:, None] & (images[:, None] == 0)
    torch.testing.assert_close(moved[black], torch.full_like(moved[black], -1.25))
    torch.testing.assert_close(moved[~black], grey(images)[~black])
    code = fitted_code(PixelCodeSection(kind="pixel", patch=2), images, sectors)
    noisy = code.decode(code.encode(moved)) + 0.2 * (2 * torch.rand(1, 1, 32, 32) - 1)
    assert (noisy.clamp(-1, 1)[black] == -1).all()
    assert LinearCode.headroom == PixelCode.headroom > 0 == Taef2Code.headroom, "networks know images alone"


def test_a_code_is_fitted_without_a_mask(pictures):
    """It takes images and nothing else: no label can reach it."""
    section = SimpleNamespace(kind="linear", block=8, components=8, lapped=True, whitening=1.0)
    first, again = (fitted_code(section, pictures, everywhere(pictures)) for _ in range(2))
    assert torch.equal(first.basis, again.basis)
