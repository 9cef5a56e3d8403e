"""Named numbers of cases on disk: one Parquet file, a row a case and a column a feature."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.features.by_case import REMEDY, rows_of
from pipeline.run import files
from pipeline.run.errors import InputError

_TEXT = ("id", "patient")


@dataclass(frozen=True)
class FeatureTable:
    """ids, patients: of N cases. values: float64 (N, F), ``names`` of its columns; nan where one is not defined."""

    ids: tuple[str, ...]
    patients: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray

    def of(self, ids: tuple[str, ...]) -> "FeatureTable":
        """The rows of cases, in their order.

        Raises:
            InputError: a case that is not there.
        """
        rows = rows_of(self.ids, ids, "features")
        return FeatureTable(tuple(ids), tuple(self.patients[i] for i in rows), self.names, self.values[rows])


def save_features(path: Path, table: FeatureTable) -> None:
    """Equal tables give equal bytes."""
    columns = {"id": pa.array(table.ids, pa.string()), "patient": pa.array(table.patients, pa.string())}
    values = table.values.reshape(len(table.ids), len(table.names))
    columns |= {name: pa.array(values[:, place], pa.float64()) for place, name in enumerate(table.names)}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="none", use_dictionary=False)
    files.write_bytes(path, buffer.getvalue())


def load_features(path: Path) -> FeatureTable:
    """What :func:`save_features` wrote.

    Raises:
        InputError: no such file, or a damaged one.
    """
    try:
        table = pq.read_table(path)
        ids, patients = (tuple(table.column(name).to_pylist()) for name in _TEXT)
        names = tuple(name for name in table.column_names if name not in _TEXT)
        values = [table.column(name).to_numpy() for name in names]
    except FileNotFoundError:
        raise InputError(f"{path}: no features there; {REMEDY}") from None
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"{path}: not a table of features ({error}); {REMEDY}") from None
    return FeatureTable(ids, patients, names, np.stack(values, axis=1) if names else np.zeros((len(ids), 0)))
