import io
import json
import weakref
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.data.dataset import check_structures, open_dataset, read_dataset, read_images
from pipeline.data.schema import SCHEMA, TARGETS
from pipeline.data.structures import Structure
from pipeline.data.writer import write_dataset
from pipeline.run.errors import InputError

STRUCTURES = (Structure("head", "head"),)


def write(path, cases, role="train", **options):
    write_dataset(path, cases, role=role, structures=STRUCTURES, **options)
    return path


@pytest.fixture
def dataset(tmp_path, ring):
    return write(tmp_path / "rings", [ring(i, pixel_mm=0.1 * (i + 1)) for i in range(5)], shard_rows=2)


def test_round_trip(dataset, ring):
    opened = read_dataset(dataset)
    assert opened.structures == STRUCTURES
    assert [case.id for case in opened.cases] == [f"case-{i:03d}" for i in range(5)]
    expected = ring(3)
    np.testing.assert_array_equal(opened.cases[3].image, expected.image)
    np.testing.assert_array_equal(opened.cases[3].mask, expected.mask)
    assert opened.cases[3].pixel_mm == pytest.approx(0.4)
    assert len(list(dataset.glob("part-*.parquet"))) == 3
    assert (dataset / "preview.png").exists()


def test_equal_cases_give_equal_bytes(tmp_path, ring):
    first, second = (write(tmp_path / name, [ring(i) for i in range(3)]) for name in "ab")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_opens_with_hugging_face_datasets(dataset):
    datasets = pytest.importorskip("datasets")
    files = sorted(map(str, dataset.glob("part-*.parquet")))
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(dataset.parent / "cache"))
    assert loaded[0]["image"].size == (64, 48)
    assert np.asarray(loaded[0]["mask"]).max() == 1


def test_unlabelled_cases_have_null_masks(tmp_path, ring):
    path = write(tmp_path / "far", [ring(0, mask=None, mask_source=None, split="test")], role="foreign")
    assert read_dataset(path).cases[0].mask is None
    assert pq.read_table(next(path.glob("*.parquet")))["mask_sha256"].to_pylist() == [None]


def test_read_images_never_touches_masks(dataset):
    shard = dataset / "part-00000.parquet"
    table = pq.read_table(shard)
    broken = [{"bytes": b"no png", "path": None}] * len(table)
    columns = [broken if name == "mask" else table[name].to_pylist() for name in SCHEMA.names]
    import pyarrow as pa

    pq.write_table(pa.table([pa.array(c, SCHEMA.field(i).type) for i, c in enumerate(columns)], schema=SCHEMA), shard)
    assert all(case.mask is None for case in read_images(dataset))
    with pytest.raises(InputError, match="cannot be decoded"):
        read_dataset(dataset)


def test_measurements_are_kept_and_not_shown_with_images_alone(tmp_path, ring):
    known = {"hc_mm": 200.0, "aop_deg": 121.5, "hsd_mm": 9.25, "ga_days": 153.25, "ga_source": "given"}
    folder = write(tmp_path / "set", [ring(0, split="train", **known)])
    (case,), (image,) = read_dataset(folder).cases, read_images(folder)
    assert {name: getattr(case, name) for name in TARGETS} == known
    assert {getattr(image, name) for name in TARGETS} == {None}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mask": np.zeros((48, 64), np.uint8)}, "mask is empty"),
        ({"mask": np.full((48, 64), 7, np.uint8)}, "holds values 7, allowed are 0 to 1"),
        ({"mask": np.ones((48, 60), np.uint8)}, "mask is 60x48 but its image is 64x48"),
        ({"id": "case-000"}, "'case-000': the id occurs twice"),
        ({"id": "../up"}, "letters, digits"),
        ({"patient": "patient-000", "split": "test"}, "patient 'patient-000' is in splits train and test"),
        ({"mask_source": None}, "mask_source 'None' is not one of"),
        ({"mask_source": "parent"}, "without a parent"),
        ({"mask_source": "parent", "parent": "stranger"}, "'stranger' is not in the label subset"),
        ({"image": np.zeros((48, 64, 3), np.uint8)}, "must be grey 8-bit"),
        ({"ga_days": 150.0}, "ga_days without ga_source"),
        ({"ga_days": 331.0, "ga_source": "given"}, "ga_days is 331, allowed are 1 to 330"),
    ],
)
def test_bad_cases_are_named(tmp_path, ring, fields, message):
    with pytest.raises(InputError, match=message) as error:
        write(tmp_path / "bad", [ring(0), replace(ring(1), **fields)])
    assert "case '" in str(error.value)


def test_held_out_cohorts_have_no_train_split(tmp_path, ring):
    with pytest.raises(InputError, match="held-out cohort"):
        write(tmp_path / "bad", [ring(0)], role="held_out")


def test_empty_source_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no case to write"):
        write(tmp_path / "bad", [])


def test_missing_folder_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="dvc pull"):
        read_dataset(tmp_path / "nowhere")


def test_truncated_shard_is_named(dataset):
    shard = dataset / "part-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"part-00001\.parquet: not a readable Parquet file"):
        read_dataset(dataset)


def test_changed_pixels_are_noticed(dataset):
    import pyarrow as pa

    shard = dataset / "part-00000.parquet"
    rows = pq.read_table(shard).to_pylist()
    buffer = io.BytesIO()
    Image.fromarray(np.full((48, 64), 9, np.uint8)).save(buffer, "PNG")
    rows[1]["image"]["bytes"] = buffer.getvalue()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), shard)
    with pytest.raises(InputError, match="case 'case-001': pixels differ from their SHA-256"):
        read_dataset(dataset)


def test_a_shard_that_went_missing_is_noticed(dataset):
    (dataset / "part-00002.parquet").unlink()
    with pytest.raises(InputError, match=r"dataset\.json says"):
        read_dataset(dataset)


def test_future_schema_is_refused(dataset):
    index = json.loads((dataset / "dataset.json").read_text())
    (dataset / "dataset.json").write_text(json.dumps(index | {"schema_version": 99}))
    with pytest.raises(InputError, match="schema version 99"):
        read_dataset(dataset)


def test_an_opened_dataset_holds_what_a_read_one_does_and_decodes_when_asked(tmp_path, ring):
    cases = [ring(i, split="train" if i % 2 else "val") for i in range(7)]
    write_dataset(tmp_path, cases, role="train", structures=STRUCTURES, shard_rows=3)
    lazy, read = open_dataset(tmp_path, ["train"]), read_dataset(tmp_path, ["train"])
    assert lazy.cases.column("id") == [case.id for case in read.cases]
    for index in (2, 0, 1):
        np.testing.assert_array_equal(lazy.cases[index].image, read.cases[index].image)
        np.testing.assert_array_equal(lazy.cases[index].mask, read.cases[index].mask)
    assert [case.id for case in lazy.cases[1:]] == [case.id for case in read.cases[1:]]
    kept = lazy.cases.where(lambda row: row["id"] == "case-003")
    assert [case.id for case in kept] == ["case-003"]


def test_writing_holds_one_shard_of_cases(tmp_path, ring):
    """A set of a thousand images is not kept for the sake of its preview."""
    alive, most = [], 0

    def cases():
        nonlocal most
        for i in range(40):
            case = ring(i)
            alive.append(weakref.ref(case.image))
            yield case
            del case
            most = max(most, sum(image() is not None for image in alive))

    write(tmp_path / "set", cases(), shard_rows=4)
    assert most <= 10
    assert len(read_dataset(tmp_path / "set").cases) == 40


def test_a_preview_shows_cases_spread_over_the_set(tmp_path, ring):
    """It is the same whatever the size of the shards, and 24 of them for a large set."""
    for rows in (3, 50):
        write(tmp_path / str(rows), [ring(i) for i in range(50)], shard_rows=rows)
    first, second = ((tmp_path / str(rows) / "preview.png").read_bytes() for rows in (3, 50))
    assert first == second
    assert Image.open(io.BytesIO(first)).size == (6 * (192 + 4) + 4, 4 * (144 + 4) + 4)


@pytest.mark.parametrize("role", ["unlabelled", "extra"])
def test_some_sets_may_be_empty(tmp_path, role):
    opened = read_dataset(write(tmp_path / role, [], role=role))
    assert (opened.role, opened.cases, opened.structures) == (role, [], STRUCTURES)


def test_an_unlabelled_set_holds_no_annotated_mask(tmp_path, ring):
    with pytest.raises(InputError, match="case 'case-001': an annotated mask in an unlabelled set"):
        write(tmp_path / "bad", [ring(0, mask=None, mask_source=None), ring(1)], role="unlabelled")
    write(tmp_path / "good", [ring(0, mask=None, mask_source=None), ring(1, mask_source="filter")], role="unlabelled")


@pytest.mark.parametrize(
    "other", [(Structure("head"),), (Structure("skull", "head"),), (*STRUCTURES, Structure("neck"))]
)
def test_a_dataset_of_other_structures_is_refused(dataset, other):
    check_structures(dataset, STRUCTURES, "the segmenter")
    with pytest.raises(InputError, match=r"rings: its structures are head \(role head\), those of the segmenter are "):
        check_structures(dataset, other, "the segmenter")


def test_a_shard_that_is_gone_is_named(tmp_path, ring):
    write_dataset(tmp_path, [ring(i) for i in range(5)], role="train", structures=STRUCTURES, shard_rows=2)
    (tmp_path / "part-00001.parquet").unlink()
    with pytest.raises(InputError, match=r"shards are missing between part-00000\.parquet and part-00002"):
        open_dataset(tmp_path)
