"""Writing the one dataset format: shards, index, preview and card; equal cases give equal bytes."""

import io
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.data.card import dataset_card
from pipeline.data.case import SPLITS, Case, check_case, pixel_hash
from pipeline.data.chunks import chunks
from pipeline.data.dataset import open_dataset
from pipeline.data.schema import MAY_BE_EMPTY, RELATED, SCHEMA, SCHEMA_VERSION, Relations, shard_name
from pipeline.data.structures import Structure, to_json
from pipeline.imaging.contact_sheet import contact_sheet, evenly_spaced, with_contour
from pipeline.run import files
from pipeline.run.errors import InputError

SHARD_ROWS = 256
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
    """Check and write cases in the order given, with one shard of them in memory at a time; ``path`` should be new.

    Raises:
        InputError: naming the first case that breaks the contract; nothing usable is left behind then.
    """
    path.mkdir(parents=True, exist_ok=True)
    relations = Relations(role, labels)
    for number, shard in enumerate(chunks(_checked(cases, structures, relations), shard_rows)):
        write_shard(path / shard_name(number), shard)
    _finish(path, relations, structures, provenance or {})


def _checked(cases: Iterable[Case], structures: Sequence[Structure], relations: Relations) -> Iterator[Case]:
    for case in cases:
        check_case(case, len(structures))
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
) -> int:
    """Make a dataset of finished shards, with one of them in memory at a time, and return how many rows it has.

    Raises:
        InputError: naming the first case that breaks the contract between cases, or no case at all.
    """
    path.mkdir(parents=True, exist_ok=True)
    relations, number = Relations(role, labels), 0
    for shard in shards:
        rows = pq.read_table(shard, columns=list(RELATED)).to_pylist()
        for row in rows:
            relations.add(*(row[column] for column in RELATED))
        if rows:
            shutil.copyfile(shard, path / shard_name(number))
            number += 1
    _finish(path, relations, structures, provenance)
    return relations.counts.total()


def _finish(path: Path, relations: Relations, structures: Sequence[Structure], provenance: dict) -> None:
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
    files.write_json(path / "dataset.json", index)
    if role == "synthetic":
        files.write_bytes(path / "README.md", dataset_card(index).encode())
    if total:
        cases = open_dataset(path).cases
        shown = (cases[i] for i in evenly_spaced(range(total), PREVIEW_CASES))
        tiles = [with_contour(case.image, case.mask, PREVIEW_HEIGHT) for case in shown]
        rows = [tiles[i : i + PREVIEW_COLUMNS] for i in range(0, len(tiles), PREVIEW_COLUMNS)]
        files.write_bytes(path / "preview.png", encode_png(contact_sheet(rows)))


def write_shard(path: Path, cases: Sequence[Case]) -> None:
    """One Parquet file, written atomically; equal cases give equal bytes."""
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(_row, cases))
    buffer = io.BytesIO()
    # PNG does not compress twice; dictionaries only cost time on unique values.
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), buffer, compression="none", use_dictionary=False)
    files.write_bytes(path, buffer.getvalue())


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
