"""Predicted class maps on disk: one Parquet file per cohort, PNG at native resolution."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.data.writer import encode_png
from pipeline.run import files
from pipeline.run.errors import InputError

_SCHEMA = pa.schema([("id", pa.string()), ("prediction", pa.binary())])


def write_predictions(path: Path, ids: Sequence[str], maps: Sequence[np.ndarray]) -> None:
    """``maps``: uint8 (H, W) class indices, one per id."""
    buffer = io.BytesIO()
    table = pa.table({"id": list(ids), "prediction": [encode_png(one) for one in maps]}, schema=_SCHEMA)
    pq.write_table(table, buffer, compression="none", use_dictionary=False)
    files.write_bytes(path, buffer.getvalue())


def read_predictions(path: Path) -> dict[str, np.ndarray]:
    """id → uint8 (H, W).

    Raises:
        InputError: no such file, or a damaged one.
    """
    try:
        rows = pq.read_table(path, schema=_SCHEMA).to_pylist()
    except FileNotFoundError:
        raise InputError(f"{path}: no predictions there; run the stage predict, or `dvc pull`") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({error}); run the stage predict again") from None
    return {row["id"]: np.asarray(Image.open(io.BytesIO(row["prediction"]))) for row in rows}
