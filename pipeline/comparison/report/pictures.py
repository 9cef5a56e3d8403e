"""Pictures of samples beside their masks and the real images they resemble most."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.case import Case
from pipeline.data.dataset import LazyCases, open_dataset
from pipeline.data.tables import read_table
from pipeline.imaging.contact_sheet import evenly_spaced
from pipeline.run.cells import cell_name
from pipeline.run.errors import InputError

HEIGHT = 110
LOWEST = 3


@dataclass(frozen=True)
class Picture:
    """PNG tiles that stand side by side: a mask, the sample made from it, its nearest real image."""

    tiles: dict[str, bytes]
    caption: str
    badge: str | None


def sample_sheets(grid, samples: Path, synthetic: Path, train: Sequence[Case]) -> dict[int, list[Picture]]:
    """Number of labels → samples of the set of the first replicate.

    Args:
        samples, synthetic: folders of the tables of samples and of the sets. train: the real train cases.
    """
    sheets = {}
    for labels in grid.labels:
        name = cell_name(labels, grid.replicates[0])
        rows = [row for row in read_table(samples / f"{name}.csv") if row["set"] == "synthetic"]
        sheets[labels] = sample_pictures(rows, open_dataset(synthetic / name).cases, train)
    return sheets


def sample_pictures(samples: Sequence[dict], cases: LazyCases, train: Sequence[Case]) -> list[Picture]:
    """Nine samples spread over mask agreement, best first, then the three whose agreement is lowest.

    Args:
        samples: rows of the table of samples (id, mask_agreement, nearest, distance).
        cases, train: the synthetic cases and the real ones their neighbours are among.

    Raises:
        InputError: the table names a case that is not there.
    """
    ordered = sorted(samples, key=lambda row: (-float(row["mask_agreement"]), row["id"]))
    worst = ordered[-LOWEST:] if len(ordered) > LOWEST else []
    chosen = [*evenly_spaced(ordered[: len(ordered) - len(worst)], 9), *worst]
    wanted = {row["id"] for row in chosen}
    generated = {case.id: case for case in cases.where(lambda row: row["id"] in wanted)}
    real, pictures = {case.id: case for case in train}, []
    for row in chosen:
        if row["id"] not in generated or row["nearest"] not in real:
            raise InputError(f"sample '{row['id']}' or its neighbour '{row['nearest']}' is gone; run `dvc repro score`")
        sample, neighbour = generated[row["id"]], real[row["nearest"]]
        tiles = {"mask": mask_tile(sample.mask), "synthetic": tile(sample.image), "nearest real": tile(neighbour.image)}
        caption = f"mask agreement {float(row['mask_agreement']):.2f} · distance {float(row['distance']):.2f}"
        pictures.append(Picture(tiles, caption, "lowest agreement" if row in worst else None))
    return pictures


def tile(image: np.ndarray, resample: Image.Resampling = Image.Resampling.BICUBIC) -> bytes:
    """PNG of a grey image, uint8 (H, W), enlarged or reduced to ``HEIGHT``; its bytes repeat."""
    buffer, width = io.BytesIO(), max(1, round(image.shape[1] * HEIGHT / image.shape[0]))
    Image.fromarray(image).resize((width, HEIGHT), resample).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def mask_tile(mask: np.ndarray) -> bytes:
    """PNG of a class map: background dark, structures in light greys."""
    return tile(np.linspace(25, 225, int(mask.max()) + 1).astype(np.uint8)[mask], Image.Resampling.NEAREST)
