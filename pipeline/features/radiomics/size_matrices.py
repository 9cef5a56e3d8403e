"""What run-length, size-zone and dependence matrices share: counts of grey levels and sizes (IBSI, 3.7, 3.8, 3.11)."""

import numpy as np


def features(levels: np.ndarray, sizes: np.ndarray, pixels: int) -> np.ndarray:
    """float64 (16,) of N elements of a grey level and a size, N at least 1.

    In this order: emphasis of small and of large sizes, of low and of high grey levels, of small sizes of low and of
    high levels, of large sizes of low and of high levels; non-uniformity of grey levels and the same normalised, of
    sizes and the same normalised; elements a pixel; variance of grey levels and of sizes; entropy in bits.

    Args:
        levels, sizes: int (N,), from 1 upwards. pixels: those that were counted.
    """
    base = int(levels.max()) + 1
    codes, counts = _occurrences(sizes.astype(np.int64) * base + levels)
    number = len(levels)
    level, size, share = (codes % base).astype(np.float64), (codes // base).astype(np.float64), counts / number
    low, high, small, large = level**-2.0, level**2, size**-2.0, size**2
    of_level, of_size = np.bincount(codes % base, weights=counts), _grouped(codes // base, counts)
    uneven_levels, uneven_sizes = of_level @ of_level / number, of_size @ of_size / number
    return np.array(
        [
            share @ small,
            share @ large,
            share @ low,
            share @ high,
            share @ (small * low),
            share @ (small * high),
            share @ (large * low),
            share @ (large * high),
            uneven_levels,
            uneven_levels / number,
            uneven_sizes,
            uneven_sizes / number,
            number / pixels,
            share @ (level - share @ level) ** 2,
            share @ (size - share @ size) ** 2,
            -(share @ np.log2(share)) + 0.0,
        ]
    )


def _occurrences(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes that occur, in order, and how often."""
    # Zones may be as large as the region: a table of all codes would then be far longer than the list of them.
    if codes.max() > max(4 * len(codes), 1 << 16):
        return np.unique(codes, return_counts=True)
    table = np.bincount(codes)
    found = np.flatnonzero(table)
    return found, table[found]


def _grouped(keys: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums of counts over equal keys, which are in order."""
    return np.add.reduceat(counts, np.flatnonzero(np.diff(keys, prepend=-1)))
