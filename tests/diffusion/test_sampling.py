"""Sampling in chunks: functions of seed and number, resumed, shared by processes, and assembled to a set."""

import pyarrow.parquet as pq
import pytest

from pipeline.data.dataset import read_dataset
from pipeline.data.writer import assemble_dataset
from pipeline.diffusion.sampling import sample_shards
from pipeline.run.errors import InputError
from tests.diffusion.untrained import STRUCTURES


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
