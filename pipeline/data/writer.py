"""Writing the one dataset format: shards, index, preview and card; equal cases give equal bytes."""

import io
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.data.card import cohort_card, dataset_card
from pipeline.data.case import SPLITS, Case, check_case, pixel_hash
from pipeline.data.chunks import chunks
from pipeline.data.dataset import open_dataset
from pipeline.data.schema import MAY_BE_EMPTY, RELATED, SCHEMA, SCHEMA_VERSION, Relations, shard_name
from pipeline.data.structures import Structure, to_json
from pipeline.imaging.contact_sheet import contact_sheet, evenly_spaced, with_contour
from pipeline.run import files
from pipeline.run.errors import InputError

SHARD_ROWS = 256
GROUP_ROWS = 32
"""Rows that are written together, whose PNGs are in memory."""
CASES_AHEAD = 6
PREVIEW_CASES, PREVIEW_COLUMNS, PREVIEW_HEIGHT = 24, 6, 144


def write_dataset(
    path: Path,
    cases: Iterable[Case],
    *,
    role: str,
    structures: Sequence[Structure],
    labels: Sequence[str] = (),
    provenance: dict | None = None,
    shard_rows: int = SHARD_ROWS,
) -> None:
    """Check and write cases in the order given, a few in memory at a time; ``path`` should be new.

    Raises:
        InputError: naming the first case that breaks the contract; nothing usable is left behind then.
    """
    relations = Relations(role, labels)
    write_shards(path, _related(cases, relations), structures, shard_rows)
    _finish(path, relations, structures, provenance or {})


def write_shards(
    path: Path, cases: Iterable[Case], structures: Sequence[Structure], shard_rows: int = SHARD_ROWS
) -> list[Path]:
    """Check cases one by one and write them, without what makes a dataset of shards: :func:`assemble_dataset`.

    Raises:
        InputError: naming the first case that breaks the contract for itself.
    """
    path.mkdir(parents=True, exist_ok=True)
    rows, shards = _encoded(_checked(cases, structures)), []
    for first in rows:
        shards.append(path / shard_name(len(shards)))
        _write_rows(shards[-1], chain([first], islice(rows, shard_rows - 1)))
    return shards


def _checked(cases: Iterable[Case], structures: Sequence[Structure]) -> Iterator[Case]:
    for case in cases:
        check_case(case, len(structures))
        yield case


def _related(cases: Iterable[Case], relations: Relations) -> Iterator[Case]:
    for case in cases:
        relations.add(*(getattr(case, column) for column in RELATED))
        yield case


def assemble_dataset(
    path: Path,
    shards: Sequence[Path],
    *,
    role: str,
    structures: Sequence[Structure],
    labels: Sequence[str],
    provenance: dict,
    assigned: Mapping[str, tuple[str, str]] | None = None,
    source: dict | None = None,
) -> int:
    """Make a dataset of finished shards, with one of them in memory at a time, and return how many rows it has.

    Args:
        assigned: id → patient and split, in the place of those in the shards.
        source: what a card tells of the raw files.

    Raises:
        InputError: naming the first case that breaks the contract between cases, or no case at all.
    """
    path.mkdir(parents=True, exist_ok=True)
    relations, number = Relations(role, labels), 0
    for shard in shards:
        rows = pq.read_table(shard, columns=list(RELATED)).to_pylist()
        for row in rows:
            if assigned is not None:
                row["patient"], row["split"] = assigned[row["id"]]
            relations.add(*(row[column] for column in RELATED))
        if rows and assigned is None:
            shutil.copyfile(shard, path / shard_name(number))
        elif rows:
            _rewrite(shard, path / shard_name(number), rows)
        number += bool(rows)
    _finish(path, relations, structures, provenance, source)
    return relations.counts.total()


def _rewrite(shard: Path, target: Path, rows: Sequence[dict]) -> None:
    """A shard with the patients and splits of ``rows``."""
    start, given = 0, pq.ParquetFile(shard)
    with _writer(target) as writer:
        for number in range(given.num_row_groups):
            group = given.read_row_group(number)
            for name in ("patient", "split"):
                values = [row[name] for row in rows[start : start + len(group)]]
                group = group.set_column(SCHEMA.get_field_index(name), name, pa.array(values, pa.string()))
            writer.write_table(group)
            start += len(group)


def _finish(
    path: Path, relations: Relations, structures: Sequence[Structure], provenance: dict, source: dict | None = None
) -> None:
    """Index, card and preview of written shards; the preview's cases are read again, so that none had to be kept."""
    role, total = relations.role, relations.counts.total()
    if not total:
        if role not in MAY_BE_EMPTY:
            raise InputError(f"{path.name}: no case to write; the source is empty")
        write_shard(path / shard_name(0), [])
    index = {
        "schema_version": SCHEMA_VERSION,
        "role": role,
        "structures": to_json(structures),
        "counts": {split: relations.counts[split] for split in SPLITS if relations.counts[split]},
        "labels": list(relations.labels),
        "provenance": provenance,
    }
    if source is not None:
        index["source"] = source
    files.write_json(path / "dataset.json", index)
    if role == "synthetic":
        files.write_bytes(path / "README.md", dataset_card(index).encode())
    elif source is not None:
        files.write_bytes(path / "README.md", cohort_card(index).encode())
    if total:
        cases = open_dataset(path).cases
        shown = (cases[i] for i in evenly_spaced(range(total), PREVIEW_CASES))
        tiles = [with_contour(case.image, case.mask, PREVIEW_HEIGHT) for case in shown]
        files.write_bytes(path / "preview.png", encode_png(contact_sheet(tiles, PREVIEW_COLUMNS)))


def write_shard(path: Path, cases: Iterable[Case]) -> None:
    """One Parquet file, written atomically; equal cases give equal bytes."""
    buffer = io.BytesIO()
    _write_rows(buffer, _encoded(cases))
    files.write_bytes(path, buffer.getvalue())


def _encoded(cases: Iterable[Case]) -> Iterator[dict]:
    """Rows, compressed on two threads while the next cases are made; a few cases are in memory at a time."""
    with ThreadPoolExecutor(2) as pool:
        waiting = deque()
        for case in cases:
            waiting.append(pool.submit(_row, case))
            if len(waiting) > CASES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _write_rows(target: Path | io.BytesIO, rows: Iterable[dict]) -> None:
    with _writer(target) as writer:
        for few in chunks(rows, GROUP_ROWS):
            writer.write_table(pa.Table.from_pylist(few, SCHEMA))


def _writer(target: Path | io.BytesIO) -> pq.ParquetWriter:
    # PNG does not compress twice; dictionaries only cost time on unique values.
    return pq.ParquetWriter(target, SCHEMA, compression="none", use_dictionary=False)


def _row(case: Case) -> dict:
    has_mask = case.mask is not None
    return {
        **{column: value for column, value in vars(case).items() if column not in ("image", "mask")},
        "image": {"bytes": encode_png(case.image), "path": f"{case.id}.png"},
        "mask": {"bytes": encode_png(case.mask), "path": f"{case.id}-mask.png"} if has_mask else None,
        "height": case.image.shape[0],
        "width": case.image.shape[1],
        "image_sha256": pixel_hash(case.image),
        "mask_sha256": pixel_hash(case.mask) if has_mask else None,
    }


def encode_png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
