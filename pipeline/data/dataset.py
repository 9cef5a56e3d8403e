"""Reading the one dataset format: Parquet shards of PNG images and masks at native resolution, checked when opened.

``data/README.md`` has the contract. The image columns are Hugging Face image structs, so
``datasets.load_dataset("parquet", data_files="<folder>/part-*.parquet")`` opens the same files.
"""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.data.case import Case, check_case, pixel_hash
from pipeline.data.schema import ROLES, SCHEMA, SCHEMA_VERSION, check_relations, shard_name
from pipeline.run import files
from pipeline.run.errors import InputError


@dataclass(frozen=True)
class Dataset:
    """An opened dataset. ``labels`` holds the ids of the label subset a synthetic set was made from."""

    path: Path
    role: str
    classes: tuple[str, ...]
    cases: Sequence[Case]
    labels: tuple[str, ...] = ()
    provenance: dict = field(default_factory=dict)

    @property
    def n_structures(self) -> int:
        return len(self.classes) - 1

    def split(self, *names: str) -> list[Case]:
        return [case for case in self.cases if case.split in names]


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
        cases = list(pool.map(lambda row: decode_case(path, row, n_classes), table.to_pylist()))
    return Dataset(path, index["role"], tuple(index["classes"]), cases, tuple(index["labels"]), index["provenance"])


class LazyCases(Sequence[Case]):
    """Cases that are decoded when asked for, with the bytes of one shard in memory at a time: ask in order.

    Args:
        table: row → (shard, row of the shard, id, patient, split, parent, mask_source), see :func:`open_dataset`.
    """

    def __init__(self, path: Path, n_classes: int, table: Sequence[dict]):
        self.path, self.n_classes, self.table = path, n_classes, table
        self._number, self._shard = None, None

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return LazyCases(self.path, self.n_classes, self.table[index])
        row = self.table[index]
        if row["shard"] != self._number:
            self._shard = _read_shard(self.path / shard_name(row["shard"]), None)
            self._number = row["shard"]
        return decode_case(self.path, self._shard.slice(row["row"], 1).to_pylist()[0], self.n_classes)

    def column(self, name: str) -> list:
        """A column of ``table``, without decoding anything."""
        return [row[name] for row in self.table]

    def where(self, keep: Callable[[dict], bool]) -> "LazyCases":
        """The cases whose row of ``table`` is kept."""
        return LazyCases(self.path, self.n_classes, [row for row in self.table if keep(row)])


def open_dataset(path: Path, splits: Sequence[str] | None = None) -> Dataset:
    """Like :func:`read_dataset`, but pixels are decoded and checked case by case when they are asked for.

    Raises:
        InputError: the folder or its columns break the contract; asking for a case raises for that case.
    """
    index = _read_index(path)
    light = ["id", "patient", "split", "parent", "mask_source"]
    shards = [_read_shard(shard, light) for shard in _shards(path)]
    _check_columns(path, index, pa.concat_tables(shards))
    table = [
        {"shard": number, "row": i, **row}
        for number, shard in enumerate(shards)
        for i, row in enumerate(shard.to_pylist())
        if splits is None or row["split"] in splits
    ]
    classes = tuple(index["classes"])
    cases = LazyCases(path, len(classes), table)
    return Dataset(path, index["role"], classes, cases, tuple(index["labels"]), index["provenance"])


def read_images(path: Path, splits: Sequence[str] | None = None) -> list[Case]:
    """The cases without masks and circumferences: those columns are never read, so no answer reaches the caller."""
    _read_index(path)
    columns = [name for name in SCHEMA.names if not name.startswith(("mask", "hc_mm"))]
    rows = _read_table(path, columns).to_pylist()
    return [decode_case(path, row, 0) for row in rows if splits is None or row["split"] in splits]


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
    return pa.concat_tables([_read_shard(shard, columns) for shard in _shards(path)])


def _shards(path: Path) -> list[Path]:
    shards = sorted(path.glob("part-*.parquet"))
    if not shards:
        raise InputError(f"{path}: no part-*.parquet; run the stage that makes it, or `dvc pull`")
    if [shard.name for shard in shards] != [shard_name(number) for number in range(len(shards))]:
        raise InputError(f"{path}: shards are missing between {shards[0].name} and {shards[-1].name}; make it again")
    return shards


def _read_shard(shard: Path, columns: Sequence[str] | None) -> pa.Table:
    try:
        table = pq.read_table(shard, columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{shard}: not a readable Parquet file ({error}); make the dataset again") from None
    if missing := set(columns or SCHEMA.names) - set(table.column_names):
        raise InputError(f"{shard}: column '{sorted(missing)[0]}' is missing; make the dataset again")
    return table.select(columns or SCHEMA.names)


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
        check_relations(
            row["id"], row["patient"], row["split"], row["parent"], row["mask_source"], index["role"], labels, split_of
        )


def decode_case(path: Path, row: dict, n_classes: int) -> Case:
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
