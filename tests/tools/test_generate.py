"""Images for a folder of masks: which files are taken, which are passed over and named, which are refused."""

import numpy as np
import pytest
from PIL import Image

from pipeline.config.params import parse_params
from pipeline.tools import command, generate
from pipeline.tools.preset import compose
from tests.diffusion.untrained import random_generator


@pytest.fixture(scope="module")
def model(smoke_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("generator") / "model"
    random_generator(smoke_config.diffusion).save_pretrained(folder)
    return folder


@pytest.fixture
def made(model, ring, tmp_path, monkeypatch, caplog):
    """Masks in a folder, and the command on them: exit status, messages and the names of the pairs."""
    monkeypatch.setattr("pipeline.run.stage.prepare_environment", lambda threads: None)
    monkeypatch.chdir(tmp_path)
    masks = tmp_path / "masks"
    masks.mkdir()
    head = ring(0, height=60, width=90).mask
    Image.fromarray(head * 255).save(masks / "grey.png")

    def call():
        options = ["--model", str(model), "--masks", "masks", "--out", "out", "--steps", "2", "--threads", "1"]
        status = 0
        with caplog.at_level("INFO"):
            try:
                command.main(generate.add_arguments, generate.run, [*options, "--chunk-size", "4", "--device", "cpu"])
            except SystemExit as left:
                status = left.code
        pairs = [sorted(path.stem for path in (tmp_path / "out" / kind).glob("*")) for kind in ("images", "masks")]
        assert pairs[0] == pairs[1]
        return status, caplog.text, pairs[0]

    return masks, head, call


@pytest.mark.parametrize("preset", ["quick", "hc18", "smoke"])
def test_the_sampler_is_that_of_the_presets(preset, root):
    """The command works without a parameter file; what it takes of a sampler is not to drift from the presets."""
    sample = parse_params(compose(root / "presets", preset), root / "params.yaml").sample
    assert {name: getattr(sample, name) for name in generate.SAMPLER} == generate.SAMPLER
    arguments = ["--model", "m", "--masks", "masks", "--out", "not_there"]
    options = command.build_parser(generate.add_arguments).parse_args(arguments)
    assert preset == "smoke" or (options.steps, options.guidance) == (sample.steps, sample.guidance)


def test_masks_in_every_form_become_the_same_pair(made, tmp_path):
    import SimpleITK

    masks, head, call = made
    Image.fromarray(head * 255).convert("RGB").quantize(2).save(masks / "quantized.png")
    Image.fromarray(head > 0).save(masks / "bits.bmp")
    white = Image.new("RGBA", head.shape[::-1], "white")
    white.putalpha(Image.fromarray(head * 255))
    white.save(masks / "alpha.tif")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(head.astype(np.int16)), str(masks / "snap.nii.gz"))
    status, _, names = call()
    assert status == 0 and names == ["alpha", "bits", "grey", "quantized", "snap"]
    pairs = [np.asarray(Image.open(tmp_path / f"out/masks/{name}.png")) for name in names]
    assert all(np.array_equal(pair, pairs[0]) for pair in pairs) and pairs[0].any()


def test_other_files_are_counted_and_named(made):
    masks, _, call = made
    (masks / "more").mkdir()
    for name in ("._grey.png", ".DS_Store", "notes.txt", "more/deep.png"):
        (masks / name).write_bytes(b"else")
    status, messages, names = call()
    assert status == 0 and names == ["grey"]
    assert "1 files in subfolders are passed over: 'more/deep.png'" in messages
    assert "passed over: 'notes.txt'" in messages and "._grey" not in messages and "DS_Store" not in messages


def save_pages(path):
    Image.new("L", (9, 9)).save(path, save_all=True, append_images=[Image.new("L", (9, 9))])


@pytest.mark.parametrize(("name", "save", "reason"), [
    ("a.jpg", lambda path: Image.new("L", (9, 9)).save(path), "a.jpg' is a JPEG, which smears"),
    ("a.png", lambda path: Image.new("L", (9, 9)).save(path, "JPEG"), "a.png' is a JPEG, which smears"),
    ("a.png", lambda path: Image.new("RGB", (9, 9), "red").save(path), "a.png' is painted in colours"),
    ("a.png", lambda path: path.write_bytes(b""), "a.png' is not a readable image"),
    ("a.tif", save_pages, "a.tif' holds 2 images"),
    ("grey.bmp", lambda path: Image.new("L", (9, 9), 1).save(path), "'grey.bmp' and 'grey.png' would share one name"),
])  # fmt: skip
def test_a_bad_mask_is_refused_by_name_and_nothing_is_written(made, tmp_path, name, save, reason):
    masks, _, call = made
    save(masks / name)
    status, messages, names = call()
    assert status == 2 and reason in messages and names == []
    assert not (tmp_path / "out").exists()


def test_no_masks(made):
    masks, _, call = made
    (masks / "grey.png").rename(masks / "grey.txt")
    status, messages, _ = call()
    assert status == 2 and "masks: no masks there; put PNG" in messages
