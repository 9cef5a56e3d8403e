"""Reading the one dataset format: Parquet shards of PNG images and masks at native resolution, checked when opened.

``data/README.md`` has the contract. The image columns are Hugging Face image structs, so
``datasets.load_dataset("parquet", data_files="<folder>/part-*.parquet")`` opens the same files.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.data.case import Case, check_case, pixel_hash
from pipeline.data.chunks import chunks
from pipeline.data.schema import RELATED, ROLES, SCHEMA, SCHEMA_VERSION, TARGETS, Relations, shard_name
from pipeline.data.structures import Structure, from_json
from pipeline.run import files
from pipeline.run.errors import InputError


@dataclass(frozen=True)
class Dataset:
    """An opened dataset. ``labels`` holds the ids of the label subset a synthetic set was made from; ``source`` what is
    told of the raw files of a cohort.
    """

    path: Path
    role: str
    structures: tuple[Structure, ...]
    cases: Sequence[Case]
    labels: tuple[str, ...] = ()
    provenance: dict = field(default_factory=dict)
    source: dict = field(default_factory=dict)

    @property
    def n_structures(self) -> int:
        return len(self.structures)

    def split(self, *names: str) -> list[Case]:
        return [case for case in self.cases if case.split in names]

    @property
    def near_merged(self) -> bool:
        """Whether a "patient" is a group of near images, as is declared of a cohort whose patients are not known."""
        return self.source.get("near", {}).get("merged", False)


def open_dataset(path: Path, splits: Sequence[str] | None = None) -> Dataset:
    """Open a dataset and check its columns; pixels are decoded and checked case by case when they are asked for.

    Args:
        splits: of the cases (all by default).

    Raises:
        InputError: the folder or its columns break the contract; asking for a case raises for that case.
    """
    index = _read_index(path)
    relations, table = Relations(index["role"], index["labels"]), []
    for number, shard in enumerate(_shards(path)):
        for i, row in enumerate(_read_shard(shard, RELATED).to_pylist()):
            try:
                relations.add(*row.values())
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
            if splits is None or row["split"] in splits:
                table.append({"shard": number, "row": i, **row})
    if relations.counts != index["counts"]:
        raise InputError(
            f"{path}: shards hold {dict(relations.counts)} cases, dataset.json says {index['counts']}; make it again"
        )
    structures = from_json(index["structures"])
    cases = LazyCases(path, len(structures), table)
    told = (tuple(index["labels"]), index["provenance"], index.get("source", {}))
    return Dataset(path, index["role"], structures, cases, *told)


def read_dataset(path: Path, splits: Sequence[str] | None = None) -> Dataset:
    """Like :func:`open_dataset`, with every case decoded and checked at once.

    Raises:
        InputError: the folder, a shard or a case breaks the contract.
    """
    dataset = open_dataset(path, splits)
    return replace(dataset, cases=list(dataset.cases.decoded()))


class LazyCases(Sequence[Case]):
    """Cases that are decoded when asked for, with the bytes of a few rows in memory at a time: ask in order.

    Args:
        table: row → (shard, row of the shard, id, patient, split, parent, mask_source), see :func:`open_dataset`.
    """

    def __init__(self, path: Path, n_structures: int, table: Sequence[dict]):
        self.path, self.n_structures, self.table = path, n_structures, table
        self._number, self._start, self._rows = None, 0, ()

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return LazyCases(self.path, self.n_structures, self.table[index])
        row = self.table[index]
        number, place = row["shard"], row["row"]
        if number != self._number or not self._start <= place < self._start + len(self._rows):
            self._rows = ()
            self._start, self._rows = _read_group(self.path / shard_name(number), place)
            self._number = number
        found = self._rows.slice(place - self._start, 1).to_pylist()[0]
        return _decode_case(self.path, found, self.n_structures)

    def chosen(self, ids: Iterable[str]) -> "LazyCases":
        """The cases with these ids, in the order of the dataset."""
        wanted = set(ids)
        return LazyCases(self.path, self.n_structures, [row for row in self.table if row["id"] in wanted])

    def decoded(self) -> Iterator[Case]:
        """The cases in order, a shard at a time, on two threads."""
        with ThreadPoolExecutor(2) as pool:
            for number, rows in groupby(self.table, key=itemgetter("shard")):
                shard = _read_shard(self.path / shard_name(number), SCHEMA.names)
                for few in chunks(rows, 16):
                    wanted = shard.take([row["row"] for row in few]).to_pylist()
                    yield from pool.map(lambda row: _decode_case(self.path, row, self.n_structures), wanted)
                del shard, wanted

    def column(self, name: str) -> list:
        """A column of ``table``, without decoding anything."""
        return [row[name] for row in self.table]

    def where(self, keep: Callable[[dict], bool]) -> "LazyCases":
        """The cases whose row of ``table`` is kept."""
        return LazyCases(self.path, self.n_structures, [row for row in self.table if keep(row)])


def read_images(path: Path, splits: Sequence[str] | None = None) -> list[Case]:
    """The cases without masks and measurements: those columns are never read, so no answer reaches the caller."""
    _read_index(path)
    columns = [name for name in SCHEMA.names if not name.startswith("mask") and name not in TARGETS]
    rows = (row for shard in _shards(path) for row in _read_shard(shard, columns).to_pylist())
    return [_decode_case(path, row, None) for row in rows if splits is None or row["split"] in splits]


def check_structures(path: Path, expected: Sequence[Structure], by: str) -> None:
    """Class indices mean something only beside their structures: refuse a dataset of others.

    Raises:
        InputError: naming the dataset and both lists of structures.
    """
    structures = from_json(_read_index(path)["structures"])
    if structures != tuple(expected):
        raise InputError(
            f"{path}: its structures are {_shown(structures)}, those of {by} are {_shown(expected)}; make both with "
            "the same task.structures"
        )


def _shown(structures: Sequence[Structure]) -> str:
    return ", ".join(f"{one.name} (role {one.role})" if one.role else one.name for one in structures)


def _read_index(path: Path) -> dict:
    if not (path / "dataset.json").exists():
        raise InputError(f"{path}: not a dataset (no dataset.json); run the stage that makes it, or `dvc pull`")
    index = files.read_json(path / "dataset.json", "make the dataset again")
    if (version := index.get("schema_version")) != SCHEMA_VERSION:
        raise InputError(f"{path}: schema version {version}, this code reads {SCHEMA_VERSION}; make it again")
    if missing := {"role", "structures", "counts", "labels", "provenance"} - set(index):
        raise InputError(f"{path / 'dataset.json'}: key '{sorted(missing)[0]}' is missing; make the dataset again")
    if index["role"] not in ROLES:
        raise InputError(f"{path}: role '{index['role']}' is not one of {', '.join(ROLES)}")
    return index


def _shards(path: Path) -> list[Path]:
    shards = sorted(path.glob("part-*.parquet"))
    if not shards:
        raise InputError(f"{path}: no part-*.parquet; run the stage that makes it, or `dvc pull`")
    if [shard.name for shard in shards] != [shard_name(number) for number in range(len(shards))]:
        raise InputError(f"{path}: shards are missing between {shards[0].name} and {shards[-1].name}; make it again")
    return shards


def _read_shard(shard: Path, columns: Sequence[str]) -> pa.Table:
    try:
        table = pq.read_table(shard, columns=list(columns))
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{shard}: not a readable Parquet file ({error}); make the dataset again") from None
    return _with_columns(shard, table, columns)


def _read_group(shard: Path, row: int) -> tuple[int, pa.Table]:
    """The rows of a shard that were written together with one, and the place of their first."""
    start = 0
    try:
        with pq.ParquetFile(shard) as file:
            for number in range(file.num_row_groups):
                count = file.metadata.row_group(number).num_rows
                if row < start + count:
                    return start, _with_columns(shard, file.read_row_group(number), SCHEMA.names)
                start += count
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{shard}: not a readable Parquet file ({error}); make the dataset again") from None
    raise InputError(f"{shard}: it has {start} rows, not row {row}; make the dataset again")


def _with_columns(shard: Path, table: pa.Table, columns: Sequence[str]) -> pa.Table:
    if missing := set(columns) - set(table.column_names):
        raise InputError(f"{shard}: column '{sorted(missing)[0]}' is missing; make the dataset again")
    return table.select(columns)


def _decode_case(path: Path, row: dict, n_structures: int | None) -> Case:
    image = _decode(path, row["id"], row["image"], row["image_sha256"])
    mask = None
    if row.get("mask") is not None:
        mask = _decode(path, row["id"], row["mask"], row["mask_sha256"])
    fields = {name: row.get(name) for name in Case.__dataclass_fields__ if name not in ("image", "mask")}
    case = Case(image=image, mask=mask, **fields)
    if n_structures is not None:
        check_case(case, n_structures)
    return case


def _decode(path: Path, id_: str, image: dict, sha256: str) -> np.ndarray:
    try:
        array = np.asarray(Image.open(io.BytesIO(image["bytes"])))
    except (OSError, SyntaxError) as error:
        raise InputError(f"{path}: case '{id_}': PNG cannot be decoded ({error}); make the dataset again") from None
    if pixel_hash(array) != sha256:
        raise InputError(f"{path}: case '{id_}': pixels differ from their SHA-256; the file was changed, make it again")
    return array
