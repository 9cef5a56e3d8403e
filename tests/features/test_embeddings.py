import tracemalloc
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pipeline.arms.pool import training_pool

from pipeline.config.arms import Arm
from pipeline.config.augmentation import Augment, Warp
from pipeline.data.stacking import stack_images, stack_masks
from pipeline.features import embeddings
from pipeline.features.embeddings import (
    EmbeddingPool,
    Embeddings,
    augmented_view,
    bytes_needed,
    embedding_pool,
    encode,
    examples_of,
    stored_id,
)
from pipeline.imaging.letterbox import to_uint8
from pipeline.learning.recipe import Recipe
from pipeline.learning.segmentation import ImagePool, fit
from pipeline.networks.sam.checkpoint import base_digest, build_sam, load_base
from pipeline.quality.curation import repeated_id
from pipeline.run import files
from pipeline.run.errors import InputError
from pipeline.run.resume import Scratch

CPU = torch.device("cpu")
STILL = Augment(flip=False, rotate_deg=0, scale=0, shift=0, brightness=0, contrast=0, gamma=0)
MOVING = Augment(flip=True, rotate_deg=20, scale=0.2, shift=0.1, brightness=0.3, contrast=0.3, gamma=0.3)


@pytest.fixture(scope="module")
def networks(bases):
    """Frozen SAMs: those with a finer mask head, whose stores hold images too, and one without."""
    plain = bases["official"][0], bases["official"][1].model_copy(update={"detail": ()})
    return {name: load_base(*base, 1).eval() for name, base in (bases | {"plain": plain}).items()}


@pytest.fixture
def network(networks):
    return networks["compact"]


@pytest.fixture(scope="module")
def rings(ring):
    return [ring(i) for i in range(70)]


def write(network, cases, out, *, base="base", views=1, augmentation=MOVING, seed=3, **options):
    examples = examples_of(cases, network.image_size)
    encode(network, examples, len(cases), out, base=base, views=views, augmentation=augmentation, seed=seed,
           device=CPU, **options)  # fmt: skip
    return out


def shards(store):
    return sorted(store.glob("*.npy"))


@pytest.mark.parametrize(("count", "views"), [(70, 1), (22, 3)])
def test_every_row_is_the_embedding_of_its_view(networks, rings, tmp_path, count, views):
    network = networks["official"]
    opened = Embeddings(write(network, rings[:count], tmp_path / "s", views=views, dtype=np.float32), "base")
    # One row more than fills a shard, and a last batch that is not full.
    assert [path.name for path in shards(tmp_path / "s")] == [
        f"{name}-0000{number}.npy" for name in ("embedding", "image") for number in (0, 1)
    ]
    images = stack_images(rings, 32)
    for i in {0, 1, count // 2, 63 // views, 64 // views, count - 1}:
        for view in range(views):
            image, _ = augmented_view(images[i], None, view, MOVING, 3, rings[i].id)
            with torch.inference_mode():
                expected = network.embed(torch.from_numpy(image)[None])[0].numpy()
            found = opened.read("embedding", rings[i].id, view)
            assert found.dtype == np.float32 and found.shape == expected.shape
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
            np.testing.assert_array_equal(opened.read("image", rings[i].id, view), to_uint8(image[0]))


def test_rows_are_rounded_to_half_floats(network, rings, tmp_path):
    whole = Embeddings(write(network, rings[:5], tmp_path / "whole", dtype=np.float32), "base")
    half = Embeddings(write(network, rings[:5], tmp_path / "half"), "base")
    for case in rings[:5]:
        exact, rounded = (store.read("embedding", case.id) for store in (whole, half))
        assert rounded.dtype == np.float16
        np.testing.assert_array_equal(rounded, exact.astype(np.float16))
        assert (rounded != exact).any()


def test_without_a_finer_mask_head_no_image_is_kept(networks, rings, tmp_path):
    store = write(networks["plain"], rings[:3], tmp_path / "s")
    assert [path.name for path in shards(store)] == ["embedding-00000.npy"]


def test_view_0_is_the_image_itself(rings):
    image, mask = stack_images(rings[:1], 32)[0], stack_masks(rings[:1], 32)[0]
    seen = augmented_view(image, mask, 0, MOVING, 3, "a")
    np.testing.assert_array_equal(seen[0], image)
    np.testing.assert_array_equal(seen[1], mask)


@pytest.mark.parametrize("view", [1, 2, 7])
def test_image_and_mask_of_a_view_move_together(rings, view):
    for case in rings[:8]:
        mask = stack_masks([case], 32)[0]
        image = mask[None].astype(np.float32) * 1.6 - 1
        moved, moved_mask = augmented_view(image, mask, view, MOVING, 3, case.id)
        assert ((moved[0] > -0.5) == (moved_mask > 0)).mean() > 0.95
        assert (moved_mask != mask).any() and moved_mask.dtype == np.uint8
        alone, none = augmented_view(image, None, view, MOVING, 3, case.id)
        assert none is None
        np.testing.assert_array_equal(alone, moved)


def test_a_view_is_a_function_of_seed_id_and_number(rings):
    image = stack_images(rings[:1], 32)[0]
    first, again, *others = (
        augmented_view(image, None, view, MOVING, seed, case_id)[0]
        for view, seed, case_id in ((1, 3, "a"), (1, 3, "a"), (2, 3, "a"), (1, 4, "a"), (1, 3, "b"))
    )
    np.testing.assert_array_equal(first, again)
    assert all((first != other).any() for other in others)


def test_the_same_bytes_every_time(network, rings, tmp_path):
    first, again = (write(network, rings[:33], tmp_path / name, views=2) for name in "ab")
    assert [path.name for path in shards(first)] == [path.name for path in shards(again)]
    for path in first.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


@pytest.mark.parametrize("base", ["compact", "official", "plain"])
def test_a_cached_encoder_trains_like_one_that_runs_in_every_step(bases, networks, rings, smoke_config, tmp_path, base):
    """In single precision and with nothing but the image as it is, only the place of the encoder differs."""
    cases, size = rings[:12], 32
    folder, settings = bases["official" if base == "plain" else base]
    settings = settings.model_copy(update={"detail": ()}) if base == "plain" else settings
    store = Embeddings(write(networks[base], cases, tmp_path / "s", dtype=np.float32), "base")

    def losses(pool_of):
        torch.manual_seed(0)
        changes = {"base": settings, "train": "decoder", "prompt": "none"}
        network, seen = build_sam(folder, smoke_config.segmenters["sam"].model_copy(update=changes), 1), []
        recipe = Recipe(12, 4, 3e-3, warmup_steps=2)
        fit(network, pool_of(network), recipe, n_structures=1, seed=5, device=CPU,
            on_step=lambda step, loss: seen.append(loss))  # fmt: skip
        return np.array(seen)

    def cached(network):
        network.embed = None
        masks = [[zlib.compress(mask.tobytes())] for mask in stack_masks(cases, size)]
        return EmbeddingPool([store], [case.id for case in cases], masks, size, network.detail is not None)

    running = losses(lambda network: ImagePool(stack_images(cases, size), stack_masks(cases, size), STILL))
    np.testing.assert_allclose(losses(cached), running, rtol=0, atol=1e-4)
    assert np.ptp(running) > 0.1, "training moves the loss by much more than it may differ"


def test_embeddings_of_other_weights_are_refused(network, rings, tmp_path):
    store = write(network, rings[:2], tmp_path / "s", base="this")
    assert rings[0].id in Embeddings(store, "this")
    with pytest.raises(InputError, match=r"/s: embeddings of other weights than these; run `dvc repro`"):
        Embeddings(store, "that")


def test_no_store_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match=r"index\.json: no such file; run `dvc repro`"):
        Embeddings(tmp_path, "base")


def test_a_case_or_view_that_is_not_there_is_named(network, rings, tmp_path):
    store = Embeddings(write(network, rings[:2], tmp_path / "s", views=2), "base")
    with pytest.raises(InputError, match=r"/s: no embedding of case 'nobody'"):
        store.read("embedding", "nobody")
    # The next view after the last would be the next case.
    for view in (2, -1):
        with pytest.raises(InputError, match=rf"2 view\(s\) of each image, none with number {view}"):
            store.read("embedding", rings[0].id, view)


def test_damaged_shards_are_named(network, rings, tmp_path):
    store = Embeddings(write(network, rings[:66], tmp_path / "s"), "base")
    first, second = (tmp_path / f"s/embedding-0000{number}.npy" for number in (0, 1))
    first.write_bytes(first.read_bytes()[:-1])
    store.read("embedding", rings[62].id)
    with pytest.raises(InputError, match=r"embedding-00000\.npy: cut short; run `dvc repro`"):
        store.read("embedding", rings[63].id)
    second.write_bytes(second.read_bytes()[:20])
    with pytest.raises(InputError, match=r"embedding-00001\.npy: cannot be read"):
        store.read("embedding", rings[64].id)
    second.unlink()
    with pytest.raises(InputError, match=r"embedding-00001\.npy: cannot be read .*No such file"):
        store.read("embedding", rings[64].id)


def test_too_little_disk_is_said_before_anything_is_written(network, rings, tmp_path, monkeypatch):
    need = bytes_needed(network, 5, 2)
    monkeypatch.setattr(embeddings.shutil, "disk_usage", lambda path: SimpleNamespace(free=need - 1))
    with pytest.raises(InputError, match=r"embeddings of 5 images need .* are free; lower the segmenter's base.views"):
        write(network, rings[:5], tmp_path / "deep/s", views=2)
    assert not (tmp_path / "deep").exists()
    monkeypatch.setattr(embeddings.shutil, "disk_usage", lambda path: SimpleNamespace(free=need))
    write(network, rings[:5], tmp_path / "deep/s", views=2)


@pytest.mark.parametrize("base", ["compact", "plain"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_bytes_needed_is_what_the_shards_hold(networks, rings, tmp_path, base, dtype):
    store = write(networks[base], rings[:35], tmp_path / "s", views=2, dtype=dtype)
    held = sum(np.load(path).nbytes for path in shards(store))
    assert held == bytes_needed(networks[base], 35, 2, dtype)
    assert 0 < sum(path.stat().st_size for path in shards(store)) - held <= 128 * len(shards(store))


def arm_of(labels, samples=(), **arm):
    warp = Warp(rotate_deg=8, scale=0.1, aspect=0.1, shift=0.03, elastic=0.005)
    return training_pool("arm", Arm(**arm), labels, samples, 32, warp, seed=0)


@pytest.fixture
def pool_of(bases, networks, rings, tmp_path):
    """The pool of an arm on the compact base, its real cases and samples encoded in three views."""
    folder, network = bases["compact"][0], networks["compact"]

    def make(arm_pool, *sets):
        stores = [write(network, cases, tmp_path / f"store-{i}", base=base_digest(folder), views=3)
                  for i, cases in enumerate(sets)]  # fmt: skip
        scratch = Scratch(tmp_path, "cell", [])
        return embedding_pool(network, arm_pool, stores, folder, 3, MOVING, 3, scratch)

    return make


def rows(pool, chosen):
    """What a batch holds, and the numbers of its views."""
    (images, found), masks = pool.batch(torch.tensor(chosen), torch.Generator().manual_seed(0))
    views = torch.randint(3, (len(chosen),), generator=torch.Generator().manual_seed(0)).tolist()
    assert len(set(views)) > 1
    return images.numpy(), found.numpy(), masks.numpy(), views


def test_a_shuffled_arm_has_the_masks_of_others_in_their_views(pool_of, rings):
    labels, samples = rings[:3], rings[10:16]
    arm = arm_of(labels, samples, extra="synthetic", ratio=2, shuffled=True)
    pool = pool_of(arm, labels, samples)
    everything = [*labels, *samples]
    images, masks = stack_images(everything, 32), stack_masks(everything, 32)
    assert list(pool.ids) == [case.id for case in everything] and len(pool) == 9
    shown, found, targets, views = rows(pool, list(range(9)))
    for i, view in enumerate(views):
        store = pool.stores[0 if i < 3 else 1]
        other = int(arm.mask_of[i])
        assert (other == i) == (i < 3)
        np.testing.assert_array_equal(found[i], store.read("embedding", everything[i].id, view).astype(np.float32))
        np.testing.assert_array_equal(to_uint8(shown[i, 0]), store.read("image", everything[i].id, view))
        expected = augmented_view(images[other], masks[other], view, MOVING, 3, everything[other].id)[1]
        np.testing.assert_array_equal(targets[i], expected)


def test_a_sample_that_curation_repeats_is_stored_once(pool_of, rings):
    from dataclasses import replace

    labels, samples = rings[:2], rings[10:12]
    curated = [samples[0], replace(samples[0], id=repeated_id(samples[0].id, 2)), samples[1]]
    arm = arm_of(labels, curated, extra="synthetic", ratio=1.5, curated=True)
    pool = pool_of(arm, labels, samples)
    assert list(pool.ids[2:]) == [samples[0].id, samples[0].id, samples[1].id]
    assert pool.masks[3] == pool.masks[2]
    rows(pool, [2, 3, 4])


def test_an_id_that_only_looks_repeated_stays(network, rings, tmp_path):
    from dataclasses import replace

    store = Embeddings(write(network, [replace(rings[0], id="scan-x2")], tmp_path / "s"), "base")
    assert stored_id("scan-x2", [store]) == "scan-x2"
    assert stored_id("sample-x2", [store]) == "sample"


def test_warped_copies_are_encoded_into_scratch_once(pool_of, network, rings, tmp_path):
    labels = rings[:2]
    arm = arm_of(labels, extra="warped", ratio=2)
    pool = pool_of(arm, labels)
    own = next(tmp_path.glob("cell-*")) / "embeddings"
    assert files.read_json(own / "index.json", "")["ids"] == [f"warped-{i}" for i in range(4)]
    examples = list(arm.examples())
    shown, found, targets, views = rows(pool, list(range(6)))
    for i, view in enumerate(views):
        case_id, image, mask = examples[i]
        image, mask = augmented_view(image, mask, view, MOVING, 3, case_id)
        with torch.inference_mode():
            expected = network.embed(torch.from_numpy(image)[None])[0].numpy()
        np.testing.assert_allclose(found[i], expected, rtol=2e-3, atol=2e-3)
        np.testing.assert_array_equal(to_uint8(shown[i, 0]), to_uint8(image[0]))
        np.testing.assert_array_equal(targets[i], mask)
    written = (own / "embedding-00000.npy").stat().st_mtime_ns
    assert len(pool_of(arm, labels)) == 6
    assert (own / "embedding-00000.npy").stat().st_mtime_ns == written, "a run that is resumed finds them"
    (own / "index.json").unlink()
    pool_of(arm, labels)
    assert (own / "embedding-00000.npy").stat().st_mtime_ns > written, "half a store is not taken for a whole one"


def big_store(folder, count):
    """Rows of 64 KB, written as :func:`encode` does."""
    shape, ids = (128, 16, 16), [f"case-{i}" for i in range(count)]
    for number, start in enumerate(range(0, count, 64)):
        part = np.arange(start, min(start + 64, count), dtype=np.float16)
        np.save(folder / f"embedding-{number:05d}.npy", np.broadcast_to(part[:, None, None, None], (len(part), *shape)))
    arrays = {"embedding": {"dtype": "float16", "shape": list(shape)}}
    files.write_json(folder / "index.json", {"base": "b", "views": 1, "rows": 64, "arrays": arrays, "ids": ids})
    return Embeddings(folder, "b"), ids, 2 * int(np.prod(shape))


def test_memory_does_not_grow_with_the_store(tmp_path):
    """Rows are neither kept nor mapped: what a run reads is gone when the next batch comes."""
    store, ids, row = big_store(tmp_path, 200)
    masks = [[zlib.compress(bytes(16 * 16))]] * len(ids)
    pool = EmbeddingPool([store], ids, masks, 16, False)
    pool.batch(torch.arange(4), torch.Generator())
    assert not isinstance(store.read("embedding", ids[0]), np.memmap)
    tracemalloc.start()
    try:
        for start in range(0, 200, 4):
            (_, found), _ = pool.batch(torch.arange(start, start + 4), torch.Generator())
            assert found[:, 0, 0, 0].tolist() == [float(i) for i in range(start, start + 4)]
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A batch of four rows and their stack; the store has 200.
    assert kept < 10 * row and peak < 16 * row
    for name in ("maps", "fd"):
        listing = Path("/proc/self") / name
        if listing.is_dir():
            assert not [path for path in listing.iterdir() if path.exists() and tmp_path in path.resolve().parents]
        elif listing.exists():
            assert str(tmp_path) not in listing.read_text()
