import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from diffusers import EDMDPMSolverMultistepScheduler
from PIL import Image

from pipeline.config.augmentation import Warp
from pipeline.config.sample import MaskShares
from pipeline.data.dataset import read_dataset
from pipeline.data.structures import Structure, to_json
from pipeline.data.writer import assemble_dataset
from pipeline.diffusion.backends import open_generator
from pipeline.diffusion.codes.pixel import PixelCode
from pipeline.diffusion.conditioning import Condition
from pipeline.diffusion.denoiser.generator import MaskToImagePipeline, load_generator
from pipeline.diffusion.denoiser.preconditioning import Preconditioning, build_unet
from pipeline.diffusion.masks import MaskSource
from pipeline.diffusion.sampling import sample_shards
from pipeline.run.errors import InputError
from pipeline.tools import command, generate

WARP = Warp(rotate_deg=5, scale=0.05, aspect=0.05, shift=0.02, elastic=0.0)
WHOLE = [[(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)]]
STRUCTURES = (Structure("head", "head"),)


BANK = torch.randn(5, 7, generator=torch.Generator().manual_seed(3)).tolist()


def random_generator(params, patch=2, bank=BANK, **changes) -> MaskToImagePipeline:
    """Of images with a mean of -0.7 and a standard deviation of 0.3 in pixels."""
    params = params.model_copy(update=changes)
    torch.manual_seed(0)
    code = PixelCode(patch)
    code.mean.fill_(-0.7)
    code.scale.fill_(0.5 / 0.3)
    code.sigma_data.fill_(0.5)
    condition = Condition(1, patch, 7 if bank else 0)
    unet = build_unet(32 // patch, patch**2, condition.n_channels, params.channels, params.layers)
    with torch.no_grad():
        for weight in unet.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    scheduler = EDMDPMSolverMultistepScheduler(sigma_data=0.5, solver_order=2, final_sigmas_type="zero")
    config = {"structures": to_json(STRUCTURES), "image_size": 32, "sectors": WHOLE, "appearances": bank}
    return MaskToImagePipeline(unet.eval(), scheduler, code, **config)


@pytest.fixture(scope="module")
def generator(smoke_config):
    return random_generator(smoke_config.diffusion)


@pytest.fixture
def source(ring):
    labels = [ring(i, height=30, width=40, pixel_mm=0.5) for i in range(4)]
    return MaskSource(labels, 1, 32, MaskShares(parent=1, shape_model=0, user=0), WARP, 0)


@pytest.fixture
def params(smoke_config):
    return smoke_config.sample.model_copy(update={"count": 11, "chunk_size": 4, "guidance": 1.5, "steps": 3})


def shards_of(generator, source, params, folder, seed=7, **changes):
    folder.mkdir(exist_ok=True)
    return sample_shards(generator, source, params.model_copy(update=changes), seed, folder)


def images_of(shards) -> list[bytes]:
    return [row["image"]["bytes"] for shard in shards for row in pq.read_table(shard).to_pylist()]


def test_an_image_does_not_depend_on_how_many_are_made(generator, source, params, tmp_path):
    many = images_of(shards_of(generator, source, params, tmp_path / "a"))
    few = images_of(shards_of(generator, source, params, tmp_path / "b", count=5))
    assert few == many[:5] and len(many) == len(set(many)) == 11


def test_interrupted_sampling_makes_only_what_is_missing(generator, source, params, tmp_path):
    shards = shards_of(generator, source, params, tmp_path)
    whole, before = [path.read_bytes() for path in shards], shards[0].stat().st_mtime_ns
    shards[1].unlink()
    assert [path.read_bytes() for path in shards_of(generator, source, params, tmp_path)] == whole
    assert shards[0].stat().st_mtime_ns == before


def test_processes_share_the_chunks_and_the_first_waits(generator, source, params, tmp_path, monkeypatch):
    whole = [path.read_bytes() for path in shards_of(generator, source, params, tmp_path / "one")]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    shards_of(generator, source, params, tmp_path / "two")
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["part-00001.parquet"]
    monkeypatch.setenv("RANK", "0")
    shards = shards_of(generator, source, params, tmp_path / "two")
    assert [path.read_bytes() for path in shards] == whole


def test_another_mask_or_seed_gives_another_image(generator, source, params, tmp_path):
    base = images_of(shards_of(generator, source, params, tmp_path / "a"))
    assert not set(base) & set(images_of(shards_of(generator, source, params, tmp_path / "b", seed=8)))


def test_rows_carry_their_origin(generator, source, params, tmp_path):
    shards = shards_of(generator, source, params, tmp_path / "shards")
    labels = [case.id for case in source.labels]
    provenance = {"cohort": "rings", "unlabelled": 12, "sample": params.model_dump(mode="json")}
    assemble_dataset(
        tmp_path / "set", shards, role="synthetic", structures=STRUCTURES, labels=labels, provenance=provenance
    )
    cases = read_dataset(tmp_path / "set").cases
    assert len(cases) == 11 and cases[0].image.shape == cases[0].mask.shape == (24, 32), "the padding is cut off"
    assert [case.parent for case in cases] == [source.draw(i).template.id for i in range(11)]
    assert len({case.seed for case in cases}) == 11
    assert cases[0].pixel_mm == pytest.approx(0.5 * 40 / 32)
    card = (tmp_path / "set/README.md").read_text()
    assert card.startswith("---\n") and "4 labelled images" in card and "12 unlabelled" in card and "11 pairs" in card
    assert (tmp_path / "set/preview.png").exists()


def test_assembling_checks_the_contract_between_shards(generator, source, params, tmp_path):
    shards = shards_of(generator, source, params, tmp_path / "shards")
    arguments = {"role": "synthetic", "structures": STRUCTURES, "provenance": {"cohort": "rings"}}
    labels = [case.id for case in source.labels]
    with pytest.raises(InputError, match="occurs twice"):
        assemble_dataset(tmp_path / "a", [shards[0], shards[0]], labels=labels, **arguments)
    with pytest.raises(InputError, match="not in the label subset"):
        assemble_dataset(tmp_path / "b", shards, labels=["another"], **arguments)


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


def test_a_mask_of_ones_own_with_a_structure_smaller_than_a_cell_is_named(ring):
    labels, mask = [ring(0, height=30, width=40)], np.zeros((64, 64), np.uint8)
    mask[20:26, 20:26] = 1
    options = {"user": [("spot", mask)], "structures": ["head"]}
    source = MaskSource(labels, 1, 32, MaskShares(parent=0, shape_model=0, user=1), WARP, 0, cell=4, **options)
    with pytest.raises(InputError, match=r"data/masks: mask 'spot': head covers 9 pixels at 32 px, .* \(4 x 4\)"):
        source.draw(0)
    fine = MaskSource(labels, 1, 32, MaskShares(parent=0, shape_model=0, user=1), WARP, 0, cell=2, **options)
    assert fine.draw(0).mask.sum() == 9


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


@pytest.fixture(scope="module")
def outside(generator, ring, tmp_path_factory):
    """A model and masks, away from the project."""
    folder = tmp_path_factory.mktemp("outside")
    generator.save_pretrained(folder / "model")
    (folder / "masks").mkdir()
    for i in range(3):
        Image.fromarray(ring(i, height=60 + 10 * i, width=90).mask * 255).save(folder / "masks" / f"mask{i}.png")
    return folder


def from_masks(folder, *options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline.tools.generate", "--model", "model", "--threads", "1"]
    return subprocess.run([*command, "--steps", "2", *options], cwd=folder, capture_output=True, text=True)


def test_masks_of_ones_own_become_pairs(outside, root, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(root))
    result = from_masks(outside, "--masks", "masks", "--out", "pairs", "--per-mask", "2", "--chunk-size", "4")
    assert result.returncode == 0, result.stderr
    names = [f"mask{i}-{k}.png" for i in range(3) for k in range(2)]
    for kind in ("images", "masks"):
        assert sorted(path.name for path in (outside / "pairs" / kind).iterdir()) == names
    mask = np.asarray(Image.open(outside / "pairs/masks/mask2-0.png"))
    assert mask.shape == np.asarray(Image.open(outside / "pairs/images/mask2-0.png")).shape == (28, 32)
    assert set(np.unique(mask)) == {0, 1}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--masks", "masks", "--out", "model"), "model exists and is not an empty folder"),
        (("--masks", "model", "--out", "other"), "model: no masks there"),
        (("--masks", "masks", "--out", "other", "--chunk-size", "300"), "--chunk-size"),
    ],
)
def test_what_cannot_become_pairs_is_said(outside, monkeypatch, capsys, caplog, options, complaint):
    monkeypatch.chdir(outside)
    monkeypatch.setattr("pipeline.run.stage.prepare_environment", lambda threads: None)
    with pytest.raises(SystemExit) as stop:
        command.main(generate.add_arguments, generate.run, ["--model", "model", "--threads", "1", *options])
    assert stop.value.code == 2 and complaint in capsys.readouterr().err + caplog.text
    assert not (outside / "other").exists()


def test_a_spot_is_named_by_its_file(outside, root, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(root))
    folder = outside / "spots"
    folder.mkdir()
    spot = np.zeros((200, 200), np.uint8)
    spot[90:102, 90:96] = 255
    Image.fromarray(spot).save(folder / "spot.png")
    result = from_masks(outside, "--masks", "spots", "--out", "none")
    assert result.returncode == 2 and "mask 'spot': head covers" in result.stderr and not (outside / "none").exists()


def test_transform_of_a_users_mask_names_it(ring):
    labels = [ring(i, height=30, width=40, pixel_mm=0.5) for i in range(4)]
    mask = np.zeros((50, 50), np.uint8)
    mask[10:40, 10:40] = 1
    source = MaskSource(labels, 1, 32, MaskShares(parent=0, shape_model=0, user=1), WARP, 0, [("mine", mask)])
    draw = source.draw(3)
    assert draw.source == "user" and json.loads(draw.transform) == {"mask": "mine"} and draw.pixel_mm is None
