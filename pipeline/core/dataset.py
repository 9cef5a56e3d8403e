"""The one dataset format: Parquet shards of PNG images and masks at native resolution, checked when opened.

``data/README.md`` has the contract. The image columns are Hugging Face image structs, so
``datasets.load_dataset("parquet", data_files="<folder>/part-*.parquet")`` opens the same files.
"""

import io
import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.core import files
from pipeline.core.card import dataset_card
from pipeline.core.case import SPLITS, Case, check_case, pixel_hash
from pipeline.core.errors import InputError
from pipeline.core.preview import contact_sheet, evenly_spaced, with_contour

SCHEMA_VERSION = 1
SHARD_ROWS = 256
PREVIEW_CASES = 24
ROLES = ("train", "held_out", "foreign", "unlabelled", "synthetic")
"""An ``unlabelled`` dataset (train images beyond a label subset) may be empty, and its masks are pseudo-masks."""
log = logging.getLogger("pipeline.dataset")

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TEXT = ("id", "cohort", "patient", "split")
_HUGGING_FACE = {
    "info": {
        "features": {
            **{name: {"dtype": "string", "_type": "Value"} for name in _TEXT},
            "image": {"_type": "Image"},
            "mask": {"_type": "Image"},
            **{name: {"dtype": "int32", "_type": "Value"} for name in ("height", "width")},
            **{name: {"dtype": "float64", "_type": "Value"} for name in ("pixel_mm", "hc_mm")},
            **{name: {"dtype": "string", "_type": "Value"} for name in ("image_sha256", "mask_sha256")},
            **{name: {"dtype": "string", "_type": "Value"} for name in ("country", "device", "mask_source", "parent")},
            "seed": {"dtype": "int64", "_type": "Value"},
            "transform": {"dtype": "string", "_type": "Value"},
        }
    }
}
_TYPES = {"string": pa.string(), "int32": pa.int32(), "int64": pa.int64(), "float64": pa.float64()}
SCHEMA = pa.schema(
    [
        (name, _IMAGE if feature["_type"] == "Image" else _TYPES[feature["dtype"]])
        for name, feature in _HUGGING_FACE["info"]["features"].items()
    ],
    metadata={"huggingface": json.dumps(_HUGGING_FACE)},
)


@dataclass(frozen=True)
class Dataset:
    """An opened dataset. ``labels`` holds the ids of the label subset a synthetic set was made from."""

    path: Path
    role: str
    classes: tuple[str, ...]
    cases: list[Case]
    labels: tuple[str, ...] = ()
    provenance: dict = field(default_factory=dict)

    @property
    def n_structures(self) -> int:
        return len(self.classes) - 1

    def split(self, *names: str) -> list[Case]:
        return [case for case in self.cases if case.split in names]


def write_dataset(
    path: Path,
    cases: Iterable[Case],
    *,
    role: str,
    classes: Sequence[str],
    labels: Sequence[str] = (),
    provenance: dict | None = None,
    shard_rows: int = SHARD_ROWS,
) -> None:
    """Check and write cases in the order given; ``path`` should be new.

    Raises:
        InputError: naming the first case that breaks the contract; nothing usable is left behind then.
    """
    path.mkdir(parents=True, exist_ok=True)
    counts, preview = Counter(), []
    rows = _checked(cases, len(classes), role, frozenset(labels), counts, preview)
    number = 0
    while shard := list(islice(rows, shard_rows)):
        write_shard(path / shard_name(number), shard)
        number += 1
    if number == 0:
        if role != "unlabelled":
            raise InputError(f"{path.name}: no case to write; the source is empty")
        write_shard(path / shard_name(0), [])
    write_index(path, role=role, classes=classes, counts=counts, labels=labels, provenance=provenance or {})
    write_preview(path / "preview.png", preview)


def assemble_dataset(
    path: Path,
    shards: Sequence[Path],
    *,
    role: str,
    classes: Sequence[str],
    labels: Sequence[str],
    provenance: dict,
) -> int:
    """Make a dataset of finished shards, with one of them in memory at a time, and return how many rows it has.

    Raises:
        InputError: naming the first case that breaks the contract between cases, or no case at all.
    """
    path.mkdir(parents=True, exist_ok=True)
    counts, seen, split_of, sizes = Counter(), set(), {}, []
    for shard in shards:
        rows = pq.read_table(shard, columns=["id", "patient", "split", "parent", "mask_source"]).to_pylist()
        for row in rows:
            _check_id(row["id"], seen)
            _check_relations(
                row["id"], row["patient"], row["split"], row["parent"], row["mask_source"], role, frozenset(labels),
                split_of,
            )  # fmt: skip
            counts[row["split"]] += 1
        sizes.append(len(rows))
        if rows:
            shutil.copyfile(shard, path / shard_name(sum(1 for size in sizes if size) - 1))
    if not sum(sizes):
        raise InputError(f"{path.name}: no case to write; the source is empty")
    write_index(path, role=role, classes=classes, counts=counts, labels=labels, provenance=provenance)
    write_preview(path / "preview.png", _spread_cases(path, shards, sizes, len(classes)))
    return sum(sizes)


def _spread_cases(path: Path, shards: Sequence[Path], sizes: Sequence[int], n_classes: int) -> list[Case]:
    """The cases of a preview, from the shards that hold them."""
    wanted = evenly_spaced(range(sum(sizes)), PREVIEW_CASES)
    cases, start = [], 0
    for shard, size in zip(shards, sizes, strict=True):
        own = [i - start for i in wanted if start <= i < start + size]
        if own:
            cases += [_case(path, row, n_classes) for row in pq.read_table(shard).take(own).to_pylist()]
        start += size
    return cases


def shard_name(number: int) -> str:
    return f"part-{number:05d}.parquet"


def write_shard(path: Path, cases: Sequence[Case]) -> None:
    """One Parquet file, written atomically; equal cases give equal bytes."""
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(_row, cases))
    buffer = io.BytesIO()
    # PNG does not compress twice; dictionaries only cost time on unique values.
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), buffer, compression="none", use_dictionary=False)
    files.write_bytes(path, buffer.getvalue())


def write_index(path: Path, *, role, classes, counts, labels, provenance) -> None:
    index = {
        "schema_version": SCHEMA_VERSION,
        "role": role,
        "classes": list(classes),
        "counts": {split: counts[split] for split in SPLITS if counts[split]},
        "labels": list(labels),
        "provenance": provenance,
    }
    files.write_json(path / "dataset.json", index)
    if role == "synthetic":
        files.write_bytes(path / "README.md", dataset_card(index).encode())


def write_preview(path: Path, cases: Sequence[Case], columns: int = 6, height: int = 144) -> None:
    if not cases:
        return
    tiles = [with_contour(case.image, case.mask, height) for case in evenly_spaced(cases, PREVIEW_CASES)]
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    buffer = io.BytesIO()
    Image.fromarray(contact_sheet(rows)).save(buffer, "PNG")
    files.write_bytes(path, buffer.getvalue())


def read_dataset(path: Path, splits: Sequence[str] | None = None) -> Dataset:
    """Open and validate a dataset; pixels of the given splits only (all by default).

    Raises:
        InputError: the folder, a shard or a case breaks the contract.
    """
    index = _read_index(path)
    table = _read_table(path, None)
    _check_columns(path, index, table)
    if splits is not None:
        table = table.filter(pa.compute.is_in(table["split"], pa.array(splits, pa.string())))
    n_classes = len(index["classes"])
    with ThreadPoolExecutor(2) as pool:
        cases = list(pool.map(lambda row: _case(path, row, n_classes), table.to_pylist()))
    return Dataset(path, index["role"], tuple(index["classes"]), cases, tuple(index["labels"]), index["provenance"])


def read_images(path: Path, splits: Sequence[str] | None = None) -> list[Case]:
    """The cases without masks and circumferences: those columns are never read, so no answer reaches the caller."""
    _read_index(path)
    columns = [name for name in SCHEMA.names if not name.startswith(("mask", "hc_mm"))]
    rows = _read_table(path, columns).to_pylist()
    return [_case(path, row, 0) for row in rows if splits is None or row["split"] in splits]


def check_classes(path: Path, expected: Sequence[str], by: str) -> None:
    """Class indices mean something only beside their names: refuse a dataset of other classes.

    Raises:
        InputError: naming the dataset and both lists of classes.
    """
    classes = _read_index(path)["classes"]
    if classes != list(expected):
        raise InputError(
            f"{path}: its classes are {', '.join(classes)}, those of {by} are {', '.join(expected)}; "
            "declare the same classes for every cohort"
        )


def _checked(cases, n_classes, role, labels, counts, preview) -> Iterator[Case]:
    seen, split_of = set(), {}
    for case in cases:
        check_case(case, n_classes)
        _check_id(case.id, seen)
        _check_relations(case.id, case.patient, case.split, case.parent, case.mask_source, role, labels, split_of)
        counts[case.split] += 1
        preview.append(case)
        yield case


def _check_id(id_: str, seen: set[str]) -> None:
    if id_ in seen:
        raise InputError(f"case '{id_}': the id occurs twice; ids must be unique in a dataset")
    seen.add(id_)


def _check_relations(id_, patient, split, parent, mask_source, role, labels, split_of) -> None:
    if split_of.setdefault(patient, split) != split:
        raise InputError(
            f"case '{id_}': patient '{patient}' is in splits {split_of[patient]} and {split}; split by patient"
        )
    if role == "held_out" and split != "test":
        raise InputError(f"case '{id_}': split '{split}' in a held-out cohort, where everything is test")
    if mask_source == "parent" and parent is None:
        raise InputError(f"case '{id_}': mask_source 'parent' without a parent; name the case its mask came from")
    if parent is not None and parent not in labels:
        raise InputError(f"case '{id_}': parent '{parent}' is not in the label subset this set was made from")


def _row(case: Case) -> dict:
    has_mask = case.mask is not None
    return {
        **{name: getattr(case, name) for name in _TEXT},
        "image": {"bytes": encode_png(case.image), "path": f"{case.id}.png"},
        "mask": {"bytes": encode_png(case.mask), "path": f"{case.id}-mask.png"} if has_mask else None,
        "height": case.image.shape[0],
        "width": case.image.shape[1],
        "pixel_mm": case.pixel_mm,
        "hc_mm": case.hc_mm,
        "image_sha256": pixel_hash(case.image),
        "mask_sha256": pixel_hash(case.mask) if has_mask else None,
        "country": case.country,
        "device": case.device,
        "mask_source": case.mask_source,
        "parent": case.parent,
        "seed": case.seed,
        "transform": case.transform,
    }


def encode_png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _read_index(path: Path) -> dict:
    if not (path / "dataset.json").exists():
        raise InputError(f"{path}: not a dataset (no dataset.json); run the stage that makes it, or `dvc pull`")
    index = files.read_json(path / "dataset.json", "make the dataset again")
    if missing := {"schema_version", "role", "classes", "counts", "labels", "provenance"} - set(index):
        raise InputError(f"{path / 'dataset.json'}: key '{sorted(missing)[0]}' is missing; make the dataset again")
    if index.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{path}: schema version {index.get('schema_version')}, this code reads {SCHEMA_VERSION}; make it again"
        )
    return index


def _read_table(path: Path, columns: Sequence[str] | None) -> pa.Table:
    shards = sorted(path.glob("part-*.parquet"))
    if not shards:
        raise InputError(f"{path}: no part-*.parquet; run the stage that makes it, or `dvc pull`")
    tables = []
    for shard in shards:
        try:
            table = pq.read_table(shard, columns=columns)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{shard}: not a readable Parquet file ({error}); make the dataset again") from None
        if missing := set(columns or SCHEMA.names) - set(table.column_names):
            raise InputError(f"{shard}: column '{sorted(missing)[0]}' is missing; make the dataset again")
        tables.append(table.select(columns or SCHEMA.names))
    return pa.concat_tables(tables)


def _check_columns(path: Path, index: dict, table: pa.Table) -> None:
    if index["role"] not in ROLES:
        raise InputError(f"{path}: role '{index['role']}' is not one of {', '.join(ROLES)}")
    counts = Counter(table["split"].to_pylist())
    if dict(counts) != index["counts"]:
        raise InputError(
            f"{path}: shards hold {dict(counts)} cases, dataset.json says {index['counts']}; make it again"
        )
    ids = Counter(table["id"].to_pylist())
    if len(ids) != len(table):
        raise InputError(f"{path}: case '{ids.most_common(1)[0][0]}' occurs twice; ids must be unique in a dataset")
    split_of, labels = {}, frozenset(index["labels"])
    for row in table.select(["id", "patient", "split", "parent", "mask_source"]).to_pylist():
        _check_relations(
            row["id"], row["patient"], row["split"], row["parent"], row["mask_source"], index["role"], labels, split_of
        )


def _case(path: Path, row: dict, n_classes: int) -> Case:
    image = _decode(path, row["id"], row["image"], row["image_sha256"])
    mask = None
    if row.get("mask") is not None:
        mask = _decode(path, row["id"], row["mask"], row["mask_sha256"])
    fields = {name: row.get(name) for name in Case.__dataclass_fields__ if name not in ("image", "mask")}
    case = Case(image=image, mask=mask, **fields)
    if n_classes:
        check_case(case, n_classes)
    return case


def _decode(path: Path, id_: str, image: dict, sha256: str) -> np.ndarray:
    try:
        array = np.asarray(Image.open(io.BytesIO(image["bytes"])))
    except (OSError, SyntaxError) as error:
        raise InputError(f"{path}: case '{id_}': PNG cannot be decoded ({error}); make the dataset again") from None
    if pixel_hash(array) != sha256:
        raise InputError(f"{path}: case '{id_}': pixels differ from their SHA-256; the file was changed, make it again")
    return array
