"""What became of a forecast: which truths are due at a row, and what a forecast was worth against each.

Between the fold (whose ring holds the truths) and the actor's batch (predict.py). A Ledger is what the actor remembers
of one station and arm beside the ring: the forecasts that still wait for a truth, and how the bands of each model are
scaled. Ledgers are rebuilt from history records of the kinds `pending` and `calibration`, bit for bit. Pure: no Kafka,
no model, no clock.

All in the station's own event time:
  issue     the first row applied in a UTC hour issues the hour's forecast; a newer version of the same window replaces
            it until a row of a later hour has come.
  truth     of t + h: the cell row nearest to it, at most TOLERANCE_MS away (inclusive, a tie takes the earlier), looked
            for at the station's own rows with window_end >= t + h + lateness and taken once.
  judged    within what the contract says the target can be: a truth beyond it (humidity of 103 %) stands at its edge,
            and so do the baselines.
  arm       each arm issues and is judged for itself, and by what it was when it promised: a verification carries the
            arm and the model version of its forecast, and only that version's bands learn from it.
  nothing   found by a row with window_end >= t + h + GRACE_MS: unverifiable, and so is all that waits when a station is
            evicted. A row whose value is missing is no truth either; then it is known at once.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ray_jobs.generated.contract import Contract
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.state import changelog
from ray_jobs.state.ring import Cell, StationState
from ray_jobs.state.slots import Slot

TOLERANCE_MS = 600_000
GRACE_MS = 2 * HOUR_MS
NONE = -(1 << 62)
NEVER = 1 << 62

# Kinds of history records.
PENDING, CALIBRATION = "pending", "calibration"
# Models whose corrections an arm keeps of a station, the last judged ones: after a swap the earlier one is judged for
# another day, and a second swap within it or a way back finds what it left.
VERSIONS = 3

_FORMAT = 3
# Before corrections belonged to a model version: one set of ratios for all. Pendings have not changed since.
_FORMAT_2 = 2
_HEAD = struct.Struct("<BI")
_PENDING = struct.Struct("<BB16s")
_SAID = 1
_IN_SAMPLE = 2
_HOUR = struct.Struct("<q")
_COUNT = struct.Struct("<H")
_BYTE = struct.Struct("<B")


class Pending(NamedTuple):
    """One issued forecast. `levels` [target, horizon, level], `dap` [target, horizon] and `persistence` [target] are
    flat and in the target's unit, NaN where nothing was said; all three are empty when the model refused the row.
    `forecast_id` is the prediction's, in bytes.
    """

    issued: int
    plan_epoch: int
    revision: int
    partition: int
    offset: int
    forecast_id: bytes
    arm: str
    model_version: str
    in_sample: bool
    levels: tuple[float, ...]
    persistence: tuple[float, ...]
    dap: tuple[float, ...]


class Truth(NamedTuple):
    """That the forecast of `hour` for the horizon with this index is to be judged now. `values` [target] are those of
    the row that ends at `window_end`; None for both when there is no row. `judged` is the row that brought it, or the
    time at which its station was evicted.
    """

    hour: int
    horizon: int
    values: tuple[float, ...] | None
    window_end: int | None
    judged: int


class JudgedTruth(NamedTuple):
    """What one truth says: the verification records, how many of them have a truth, how many of those truths lay beyond
    what their target can be, and what bands learn from: the flat index [target, horizon] of each forecast whose truth
    is no fault, with which of its bands held it.
    """

    records: list[dict[str, Any]]
    verified: int
    beyond: int
    held: list[tuple[int, tuple[bool, ...]]]


class Ledger:
    """What is remembered of one station and arm. Hours count from 1970.

    `open`: by horizon, the hours that wait for their truth with the time of their issue, oldest first. `pendings`: the
    forecasts of all hours that wait somewhere, while a batch is under way as the row that issues it. `corrections`: by
    model version, the last judged one last, the station's scale of each band over the model's [target, horizon, band],
    flat. `next_due`: no row before it can be due. `written`: the slots under which the history has a pending record, as
    bits.
    """

    __slots__ = ("_uncorrected", "corrections", "newest", "newest_issued", "next_due", "open", "pendings", "written")

    def __init__(self, contract: Contract) -> None:
        self.newest = NONE
        self.newest_issued = NONE
        self.next_due = NEVER
        self.open: list[list[tuple[int, int]]] = [[] for _ in contract.horizons_h]
        self.pendings: dict[int, Pending | int] = {}
        self.corrections: dict[str, tuple[float, ...]] = {}
        self.written = 0
        self._uncorrected = (1.0,) * (len(contract.targets) * len(contract.horizons_h) * len(contract.bands))

    def ratios(self, version: str) -> tuple[float, ...]:
        """The corrections of a model version's bands: ones until its own promises have been judged."""
        return self.corrections.get(version, self._uncorrected)

    def correct(self, version: str, ratios: tuple[float, ...]) -> None:
        """Of more than VERSIONS the one that was judged the longest ago is forgotten."""
        self.corrections.pop(version, None)
        self.corrections[version] = ratios
        while len(self.corrections) > VERSIONS:
            del self.corrections[next(iter(self.corrections))]

    def remembered(self) -> tuple[Any, ...]:
        """All of it, in an order of its own: equal for two ledgers that will do the same."""
        pendings, corrections = sorted(self.pendings.items()), list(self.corrections.items())
        return self.newest, self.newest_issued, self.next_due, self.open, pendings, corrections


# By arm: an arm that is served no more is judged until nothing of it waits.
LEDGERS: Slot[dict[str, Ledger]] = Slot("ledgers")


class Book:
    """The rules above for one contract. Holds constants only."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._horizons_ms = contract.horizons_ms
        # All hours that can wait at once, and one more: then two of them never share a slot.
        self.slots = -(-contract.horizons_ms[-1] // HOUR_MS) + GRACE_MS // HOUR_MS + 2
        self._targets = tuple(contract.history_values.index(contract.target_column(t)) for t in contract.targets)
        cells = len(contract.targets) * len(contract.horizons_h)
        self._doubles = struct.Struct(f"<{cells * len(contract.levels) + len(contract.targets) + cells}d")
        self._cut = cells * len(contract.levels), cells * len(contract.levels) + len(contract.targets)
        self._ratios = struct.Struct(f"<{cells * len(contract.bands)}d")
        shape = (contract.targets, contract.horizons_h, contract.bands)
        self._bands, self._levels = len(contract.bands), len(contract.levels)
        self._ends = tuple(reversed(range(self._bands)))
        self._unknown: dict[str, Any] = {f"covered_{round(band * 100)}": None for band in contract.bands}
        self._units = tuple(contract.field(t).unit or "1" for t in contract.targets)
        self._shape = zlib.crc32(repr(shape).encode())
        self._datums = tuple(contract.datums_of(t) for t in contract.targets)
        self._bounds = tuple(contract.field(t).bounds for t in contract.targets)

    # At every applied row

    def due(self, ledger: Ledger, state: StationState, t: int) -> list[Truth]:
        """Takes every truth that is due at the row with window_end `t`, which its ring already holds: oldest forecast
        of the shortest horizon first.
        """
        if t < ledger.next_due:
            return []
        contract = self.contract
        taken: list[Truth] = []
        next_due = NEVER
        for j, horizon_ms in enumerate(self._horizons_ms):
            waiting = ledger.open[j]
            limit = t - horizon_ms - contract.lateness_ms
            at = 0
            while at < len(waiting) and waiting[at][1] <= limit:
                at += 1
            kept: list[tuple[int, int]] = []
            for hour, issued in waiting[:at]:
                found = self._nearest(state, issued + horizon_ms)
                if found is not None:
                    values = tuple([found.values[i] for i in self._targets])
                    taken.append(Truth(hour, j, values, found.window_end, t))
                elif t >= issued + horizon_ms + GRACE_MS:
                    taken.append(Truth(hour, j, None, None, t))
                else:
                    kept.append((hour, issued))
            waiting[:at] = kept
            if waiting:
                next_due = min(next_due, waiting[0][1] + horizon_ms + contract.lateness_ms)
        ledger.next_due = next_due
        return taken

    def close(self, ledger: Ledger, state: StationState, t: int) -> list[Truth]:
        """Takes all that waits, at time `t`, when no row will come any more: what the ring holds, and for the rest that
        there is nothing.
        """
        taken = self.due(ledger, state, t)
        for j, waiting in enumerate(ledger.open):
            taken += [Truth(hour, j, None, None, t) for hour, _ in waiting]
            waiting.clear()
        ledger.next_due = NEVER
        return taken

    def opens(self, ledger: Ledger, t: int) -> bool:
        """Whether the row with window_end `t` issues its hour's forecast, anew or again; then the hour waits."""
        hour = t // HOUR_MS
        if hour <= ledger.newest:
            return t == ledger.newest_issued
        ledger.newest, ledger.newest_issued = hour, t
        for j, horizon_ms in enumerate(self._horizons_ms):
            ledger.open[j].append((hour, t))
            ledger.next_due = min(ledger.next_due, t + horizon_ms + self.contract.lateness_ms)
        return True

    def forget(self, ledger: Ledger) -> None:
        """Drops the forecasts that wait for nothing any more."""
        waiting = {hour for hours in ledger.open for hour, _ in hours}
        for hour in [h for h in ledger.pendings if h not in waiting]:
            del ledger.pendings[hour]

    def _nearest(self, state: StationState, wanted: int) -> Cell | None:
        contract = self.contract
        floor = state.newest - contract.ring_cells
        best: Cell | None = None
        last = (wanted + TOLERANCE_MS - 1) // contract.cell_ms
        for number in range((wanted - TOLERANCE_MS - 1) // contract.cell_ms, last + 1):
            cell = state.cells.get(number % contract.ring_cells)
            if cell is None or cell.cell != number or number <= floor:
                continue
            away = abs(cell.window_end - wanted)
            if away <= TOLERANCE_MS and (best is None or away < abs(best.window_end - wanted)):
                best = cell
        return best

    def waiting(self, ledger: Ledger) -> bytes:
        """`open` in a form that a calibration record keeps: hours as distances from the newest, two bytes each."""
        newest = ledger.newest
        return _HOUR.pack(newest) + b"".join(
            [struct.pack(f"<{len(w) + 1}H", len(w), *[newest - hour for hour, _ in w]) for w in ledger.open]
        )

    # At every truth

    def judge(self, station: str, pending: Pending, truth: Truth) -> JudgedTruth:
        """Holds one issued forecast against one truth. A target of which nothing was said gives no record."""
        contract = self.contract
        records: list[dict[str, Any]] = []
        learnt: list[tuple[int, tuple[bool, ...]]] = []
        verified = beyond = 0
        if not pending.levels:
            return JudgedTruth(records, verified, beyond, learnt)
        j, count = truth.horizon, len(contract.horizons_h)
        forecast_id = pending.forecast_id.hex()
        horizon = contract.horizons_h[j]
        for k, target in enumerate(contract.targets):
            cell = k * count + j
            levels = pending.levels[cell * self._levels : (cell + 1) * self._levels]
            middle = levels[self._bands]
            if middle != middle:
                continue
            bounds = self._bounds[k]
            y = None if truth.values is None else truth.values[k]
            if y is not None and y != y:
                y = None
            if y is not None:
                measured, y = y, _clamped(y, bounds)
                beyond += y != measured
            width = levels[-1] - levels[0]
            model: dict[str, Any] = {"value": middle, "error": None, "pinball": None, "width": width, "winkler": None}
            if y is None:
                model |= self._unknown
            else:
                held = tuple([levels[i] <= y <= levels[-1 - i] for i in self._ends])
                verified += 1
                # As conformal.taught.
                low, high = self._datums[k]
                if low <= y <= high or not low <= middle <= high:
                    learnt.append((cell, held))
                model |= zip(self._unknown, held, strict=True)
                model["error"] = middle - y
                said = zip(contract.levels, levels, strict=True)
                model["pinball"] = sum([q * (y - p) if y >= p else (1.0 - q) * (p - y) for q, p in said])
                outside = max(levels[0] - y, y - levels[-1], 0.0)
                model["winkler"] = width + 2.0 / (1.0 - contract.bands[-1]) * outside
            records.append(
                {
                    "id": hashlib.sha256(f"{forecast_id}|{target}|{horizon}".encode()).hexdigest()[:32],
                    "forecast_id": forecast_id,
                    contract.entity_key: station,
                    "target": target,
                    "unit": self._units[k],
                    "horizon_h": horizon,
                    "issued": pending.issued,
                    "valid": pending.issued + self._horizons_ms[j],
                    "judged": truth.judged,
                    "status": "unverifiable" if y is None else "verified",
                    "truth": y,
                    "truth_window_end": None if y is None else truth.window_end,
                    "model": model,
                    "persistence": _baseline(_clamped(pending.persistence[k], bounds), y),
                    "dap": _baseline(_clamped(pending.dap[cell], bounds), y),
                    "model_version": pending.model_version,
                    "arm": pending.arm,
                    "in_sample": pending.in_sample,
                }
            )
        return JudgedTruth(records, verified, beyond, learnt)

    # History records

    def pending_key(self, station: str, arm: str, issued: int) -> bytes:
        """A later hour of the same slot replaces it, which bounds the compacted topic."""
        return changelog.key_of(PENDING, arm, self.slot(issued), station=station)

    def pending_keys(self, station: str, arm: str, ledger: Ledger) -> list[bytes]:
        """Every key under which the history has a forecast of this station and arm."""
        slots = (slot for slot in range(self.slots) if ledger.written >> slot & 1)
        return [changelog.key_of(PENDING, arm, slot, station=station) for slot in slots]

    def wrote(self, ledger: Ledger, pending: Pending) -> None:
        ledger.written |= 1 << self.slot(pending.issued)

    def slot(self, issued: int) -> int:
        return issued // HOUR_MS % self.slots

    def calibration_key(self, station: str, arm: str) -> bytes:
        """Errors: ValueError for an arm that no key can hold."""
        return changelog.key_of(CALIBRATION, arm, station=station)

    def pending_record(self, station: str, pending: Pending) -> dict[str, Any]:
        said = _SAID if pending.levels else 0
        version = pending.model_version.encode()
        payload = b"".join(
            (
                _HEAD.pack(_FORMAT, self._shape),
                _PENDING.pack(said | (_IN_SAMPLE if pending.in_sample else 0), len(version), pending.forecast_id),
                version,
                self._doubles.pack(*pending.levels, *pending.persistence, *pending.dap) if said else b"",
            )
        )
        return changelog.change_record(
            PENDING,
            self.contract.entity_key,
            station,
            arm=pending.arm,
            cell=pending.issued // HOUR_MS,
            window_end=pending.issued,
            plan_epoch=pending.plan_epoch,
            revision=pending.revision,
            feature_partition=pending.partition,
            feature_offset=pending.offset,
            payload=payload,
        )

    def calibration_record(
        self, station: str, arm: str, waiting: bytes, corrections: Mapping[str, tuple[float, ...]], partition: int
    ) -> dict[str, Any]:
        """What a row with truths left behind; `waiting` as this class made it at that row."""
        parts = [_HEAD.pack(_FORMAT, self._shape), waiting, _BYTE.pack(len(corrections))]
        for version, ratios in corrections.items():
            name = version.encode()
            parts += [_BYTE.pack(len(name)), name, self._ratios.pack(*ratios)]
        return changelog.change_record(
            CALIBRATION,
            self.contract.entity_key,
            station,
            arm=arm,
            feature_partition=partition,
            payload=b"".join(parts),
        )

    def read_pending(self, record: Mapping[str, Any]) -> Pending | None:
        """The forecast of a record of kind `pending`; None for one of other targets, horizons or bands."""
        payload: bytes = record["payload"]
        if self._format(payload) is None:
            return None
        flags, size, forecast_id = _PENDING.unpack_from(payload, _HEAD.size)
        at = _HEAD.size + _PENDING.size
        values = self._doubles.unpack_from(payload, at + size) if flags & _SAID else ()
        first, second = self._cut
        return Pending(
            record["window_end"],
            record["plan_epoch"],
            record["revision"],
            record["feature_partition"],
            record["feature_offset"],
            forecast_id,
            changelog.arm_of(record),
            payload[at : at + size].decode(),
            bool(flags & _IN_SAMPLE),
            values[:first],
            values[first:second],
            values[second:],
        )

    def restore(self, pendings: Iterable[Pending], calibration: bytes | None) -> Ledger:
        """The ledger of one arm that wrote these records: the last one of each key."""
        ledger = Ledger(self.contract)
        known, waiting = NONE, None
        written = None if calibration is None else self._format(calibration)
        ordered = sorted(pendings, key=lambda p: p.issued)
        if calibration is not None and written is not None:
            (known,) = _HOUR.unpack_from(calibration, _HEAD.size)
            at = _HEAD.size + _HOUR.size
            waiting = []
            for _ in self._horizons_ms:
                (count,) = _COUNT.unpack_from(calibration, at)
                backs = struct.unpack_from(f"<{count}H", calibration, at + _COUNT.size)
                waiting.append({known - back for back in backs})
                at += _COUNT.size * (1 + count)
            if written == _FORMAT:
                ledger.corrections = self._read_corrections(calibration, at)
            elif ordered:
                # They were nobody's in particular: the model that promised last wore them.
                ledger.corrections = {ordered[-1].model_version: self._ratios.unpack_from(calibration, at)}
        for pending in ordered:
            hour = pending.issued // HOUR_MS
            ledger.pendings[hour] = pending
            self.wrote(ledger, pending)
            ledger.newest, ledger.newest_issued = hour, pending.issued
            for j, horizon_ms in enumerate(self._horizons_ms):
                if waiting is None or hour > known or hour in waiting[j]:
                    ledger.open[j].append((hour, pending.issued))
                    ledger.next_due = min(ledger.next_due, pending.issued + horizon_ms + self.contract.lateness_ms)
        self.forget(ledger)
        return ledger

    def _read_corrections(self, payload: bytes, at: int) -> dict[str, tuple[float, ...]]:
        found: dict[str, tuple[float, ...]] = {}
        (count,) = _BYTE.unpack_from(payload, at)
        at += _BYTE.size
        for _ in range(count):
            (size,) = _BYTE.unpack_from(payload, at)
            at += _BYTE.size
            found[payload[at : at + size].decode()] = self._ratios.unpack_from(payload, at + size)
            at += size + self._ratios.size
        return found

    def _format(self, payload: bytes) -> int | None:
        """How a payload is written; None for one of other targets, horizons or bands, or of another code."""
        written, shape = _HEAD.unpack_from(payload)
        return written if written in (_FORMAT, _FORMAT_2) and shape == self._shape else None


def _clamped(value: float, bounds: tuple[float, float]) -> float:
    """As conformal.Bounds.clamp, of one value; NaN stays NaN, since no comparison with it holds."""
    return min(max(value, bounds[0]), bounds[1])


def _baseline(value: float, y: float | None) -> dict[str, float | None]:
    """A baseline's value and error; both null where it had none."""
    if value != value:
        return {"value": None, "error": None}
    return {"value": value, "error": None if y is None else value - y}
