"""Writing the one dataset format: shards, index, preview and card; equal cases give equal bytes."""

import io
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.data.card import dataset_card
from pipeline.data.case import SPLITS, Case, check_case, pixel_hash
from pipeline.data.dataset import decode_case
from pipeline.data.schema import SCHEMA, SCHEMA_VERSION, TEXT_COLUMNS, check_id, check_relations, shard_name
from pipeline.imaging.contact_sheet import contact_sheet, evenly_spaced, with_contour
from pipeline.run import files
from pipeline.run.errors import InputError

SHARD_ROWS = 256
PREVIEW_CASES = 24


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
            check_id(row["id"], seen)
            check_relations(
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
            cases += [decode_case(path, row, n_classes) for row in pq.read_table(shard).take(own).to_pylist()]
        start += size
    return cases


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


def _checked(cases, n_classes, role, labels, counts, preview) -> Iterator[Case]:
    seen, split_of = set(), {}
    for case in cases:
        check_case(case, n_classes)
        check_id(case.id, seen)
        check_relations(case.id, case.patient, case.split, case.parent, case.mask_source, role, labels, split_of)
        counts[case.split] += 1
        preview.append(case)
        yield case


def _row(case: Case) -> dict:
    has_mask = case.mask is not None
    return {
        **{name: getattr(case, name) for name in TEXT_COLUMNS},
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
