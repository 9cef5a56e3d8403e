import numpy as np
import pytest

from pipeline.data.predictions import read_predictions, write_predictions
from pipeline.run.errors import InputError


def test_predictions_come_back(tmp_path):
    maps = [np.full((3, 5), k, np.uint8) for k in range(2)]
    write_predictions(tmp_path / "far.parquet", ["a", "b"], maps)
    found = read_predictions(tmp_path / "far.parquet")
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(list(found.values()), maps)


def test_missing_predictions_say_what_to_run(tmp_path):
    with pytest.raises(InputError, match=r"far\.parquet: no predictions there; run the stage predict"):
        read_predictions(tmp_path / "far.parquet")


def test_damaged_predictions_say_what_to_run(tmp_path):
    (tmp_path / "far.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"far\.parquet: not a readable Parquet file.*predict again"):
        read_predictions(tmp_path / "far.parquet")
