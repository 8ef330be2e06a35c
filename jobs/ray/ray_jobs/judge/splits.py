"""Which issue times are learnt from, which decide when learning stops, which set the bands, and which judge."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ray_jobs.kit.time import HOUR_MS

# Between two splits: what one of them saw must not tell the other of its weather.
GAP_MS = 72 * HOUR_MS


@dataclass(frozen=True)
class Splits:
    """Spans of issue times, UTC epoch ms: fit [from, fit_to), watch [watch_from, watch_to) for early stopping,
    calibrate [calibrate_from, calibrate_to) for the bands, test [test_from, cut). Without a span of its own
    (`calibrate_from` None) the calibration uses the watched one. A truth belongs to a split only when it lies before
    the split's own end plus the gap, and before the cut.
    """

    from_ms: int
    fit_to: int
    watch_from: int
    watch_to: int
    test_from: int
    cut: int
    calibrate_from: int | None = None
    calibrate_to: int | None = None

    def in_order(self) -> bool:
        """Whether no span is empty."""
        times = [self.from_ms, self.fit_to, self.watch_from, self.watch_to]
        if self.calibrate_from is not None and self.calibrate_to is not None:
            times += [self.calibrate_from, self.calibrate_to]
        times += [self.test_from, self.cut]
        return all(a < b for a, b in pairwise(times))

    @property
    def known_to(self) -> int:
        """Where that ends which is fitted: climatology, damping, spreads."""
        return self.test_from if self.calibrate_from is None else self.watch_to


def splits_of(first_ms: int, cut_ms: int, calibrate_from: int | None = None, test_from: int | None = None) -> Splits:
    """By the dates given, with 72 hours between two splits: watched are the last 56 days before the calibration.

    Without them the last 30 days before the cut test, and the 56 days before those watch and calibrate. No span takes
    more than a fifth of what there is before it.
    """
    day = 24 * HOUR_MS
    fifth = (cut_ms - first_ms) // 5
    gap = min(GAP_MS, fifth // 4)
    if test_from is None:
        test_from = cut_ms - min(30 * day, fifth)
    end = (test_from if calibrate_from is None else calibrate_from) - gap
    watch_from = end - min(56 * day, max(end - first_ms, 0) // 4)
    if calibrate_from is None:
        return Splits(first_ms, watch_from - gap, watch_from, end, test_from, cut_ms)
    return Splits(first_ms, watch_from - gap, watch_from, end, test_from, cut_ms, calibrate_from, test_from - gap)
