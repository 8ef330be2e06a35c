"""Feature rows for the tests: random ones of any contract, and the naive as-of join that the fold is held against.

Test support only. The oracle keeps every row and looks at all of them each time; it shares no code with ring.py or
fold.py.
"""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st
from ray_jobs.generated.contract import Contract
from ray_jobs.generated.meters_contract import CONTRACT as METERS

HOUR_MS = 3_600_000
Row = dict[str, Any]


def row(
    contract: Contract, station: str, window_end: int, plan_epoch: int, revision: int, values: dict[str, float | None]
) -> Row:
    """One feature row. `values` are columns; those not named are missing."""
    first = max(revision - 1, 0)
    origin: Row = {"raw_partition": 0, "first_offset": first}
    if contract.by is not None:
        ranges = [{"partition": p, "first_offset": first, "last_offset": revision} for p in (0, 2)]
        origin = {"grouped_by": contract.by, "raw_ranges": ranges}
    out: Row = {
        contract.entity_key: station,
        "window_start": window_end - contract.window_ms,
        "window_end": window_end,
        "plan_epoch": plan_epoch,
        "revision": revision,
        **origin,
        "measurement_count": 1,
        "max_event_time": window_end - 1,
        "raw_append_time": window_end,
        "processing_time": window_end,
    }
    for feature in contract.features:
        out[feature.column] = values.get(feature.column)
        out.setdefault(f"{feature.field}_count", 0)
        if out[feature.column] is not None:
            out[f"{feature.field}_count"] = 1
    return out


@st.composite
def streams(draw: st.DrawFn, contract: Contract, start_ms: int, most: int = 60) -> list[Row]:
    """Rows of one station: mostly forwards, with gaps, steps back (late), revisions of old windows and exact
    repeats.
    """
    slide = contract.slide_ms
    gaps = st.one_of(
        st.integers(1, 3),
        st.sampled_from([contract.cell_ms // slide, contract.step_ms // slide, 2 * contract.step_ms // slide]),
        st.integers(1, contract.depth_ms // slide),
        st.integers(-2 * contract.cell_ms // slide, 0),
        st.integers(-2 * contract.depth_ms // slide, 0),
    )
    value = st.one_of(st.none(), st.floats(-50, 50, allow_nan=False), st.sampled_from([0.0, 1.0]))
    moves = draw(st.lists(st.tuples(gaps, st.integers(0, 2), st.integers(0, 4), value), min_size=1, max_size=most))
    rows: list[Row] = []
    t = start_ms
    for gap, epoch, revision, x in moves:
        t = max(slide, t + gap * slide)
        values = {f.column: None if x is None else x + i for i, f in enumerate(contract.features)}
        rows.append(row(contract, "a", t, epoch, revision, values))
    return rows


class Oracle:
    """The fold's meaning in obvious lines: remembers every applied row, newest version of each window end."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.rows: dict[int, Row] = {}

    def cell(self, window_end: int) -> int:
        return math.ceil(window_end / self.contract.cell_ms) - 1

    def step(self, new: Row) -> tuple[str, list[float] | None]:
        contract, t = self.contract, new["window_end"]
        cells = [self.cell(end) for end in self.rows]
        if cells and self.cell(t) <= max(cells) - contract.ring_cells:
            return "expired", None
        old = self.rows.get(t)
        if old is not None and (new["plan_epoch"], new["revision"]) <= (old["plan_epoch"], old["revision"]):
            return "skipped", None
        floor = max([*cells, self.cell(t)]) - contract.ring_cells
        newest: dict[int, Row] = {}
        for end in sorted(self.rows):
            if self.cell(end) > floor:
                newest[self.cell(end)] = self.rows[end]
        inputs = [number(new[f.column]) for f in contract.features]
        for k in contract.lags:
            high = t - k * contract.step_ms
            seen = [r for r in newest.values() if high - contract.step_ms < r["window_end"] <= high]
            lag = max(seen, key=lambda r: r["window_end"], default=None)
            inputs += [math.nan if lag is None else number(lag[v]) for v in contract.history_values]
            inputs.append(math.nan if lag is None else (t - lag["window_end"]) / HOUR_MS)
        circular = {f.column for f in contract.features if contract.field(f.field).role == "circular"}
        for hours in (24, 96, 240):
            span = hours * HOUR_MS // contract.cell_ms
            if not 2 * contract.cell_ms <= hours * HOUR_MS <= contract.depth_ms:
                continue
            inside = {c: r for c, r in newest.items() if self.cell(t) - span < c < self.cell(t)}
            old = any(2 * (self.cell(t) - c) >= span for c in inside)
            for name in [v for v in contract.history_values if v not in circular]:
                seen_values = [number(r[name]) for r in (*inside.values(), new)]
                seen_values = [round(x * 2**20) for x in seen_values if not math.isnan(x)]
                mean = sum(seen_values) / (len(seen_values) * 2**20) if old and seen_values else math.nan
                inputs.append(mean)
        self.rows[t] = new
        return "applied", inputs


def number(value: float | None) -> float:
    return math.nan if value is None else value


def same(a: list[float], b: list[float]) -> bool:
    """Equal bit for bit, NaN equal to NaN."""
    return [x.hex() for x in a] == [x.hex() for x in b]


def meters() -> Contract:
    """The second domain: electricity meters, with another key, another slide and nothing of the weather."""
    return METERS
