"""Rows as LightGBM's binary data set: bins, a byte a number, found once and shared by all that is grown on them.

LightGBM reads and writes that form through files only. Knows no heads and no splits.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray


def binned(columns: NDArray[np.float32], settings: dict[str, Any]) -> NDArray[np.uint8]:
    """The rows' bins, without labels. [row, column] -> bytes."""
    with tempfile.TemporaryDirectory(prefix="millrace-train-") as scratch:
        path = Path(scratch) / "rows"
        whole = lightgbm.Dataset(columns, np.zeros(len(columns)), params=settings)
        whole.construct().save_binary(str(path))
        return np.fromfile(path, dtype=np.uint8)


def labelled(
    rows: NDArray[np.uint8], truth: NDArray[Any], weight: NDArray[Any], settings: dict[str, Any]
) -> lightgbm.Dataset:
    """What to learn from: the rows as `binned` made them, a truth (NaN counts as 0: give it no weight) and a weight of
    each.
    """
    with tempfile.TemporaryDirectory(prefix="millrace-train-") as scratch:
        path = Path(scratch) / "rows"
        rows.tofile(path)
        learn = lightgbm.Dataset(str(path), params=settings).construct()
    return learn.set_label(np.nan_to_num(truth)).set_weight(weight)
