"""When a forecast is held against which row, what is said of it, and that coverage comes back after the errors change.

The oracle of the rules is at the end: every row is remembered and looked at each time.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from ray_jobs.fold.fold import Fold
from ray_jobs.generated.contract import Contract, horizon_name
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.ledger import conformal
from ray_jobs.ledger.conformal import RATIO_MAX, Adaptation
from ray_jobs.ledger.verify import GRACE_MS, TOLERANCE_MS, Book, Ledger, Pending, Truth
from tests.feature_rows import meters, row
from tests.generated.ray.gauges_contract import CONTRACT as GAUGES

T0 = 1_480_550_400_000
MINUTE = 60_000
BOOK = Book(CONTRACT)


class Station:
    """A station's ring and ledger, fed row by row as the actor feeds them."""

    def __init__(self, contract: Contract = CONTRACT) -> None:
        self.contract, self.book = contract, Book(contract)
        self.fold = Fold(contract)
        self.state = self.fold.new_state()
        self.ledger = Ledger(contract)
        self._revision = 0

    def see(self, end: int, value: float | None = 1.0, revision: int | None = None) -> tuple[list[Truth], bool]:
        self._revision += 1
        values = {f.column: value for f in self.contract.features}
        made = row(self.contract, "a", end, 1, self._revision if revision is None else revision, values)
        step = self.fold.step(self.state, made)
        assert step.status == "applied"
        return self.book.due(self.ledger, self.state, end), self.book.opens(self.ledger, end)


def hours(truths: list[Truth]) -> list[tuple[int, int, float | None]]:
    """(hours since T0, horizon, value of the first target) of each."""
    return [
        (t.hour - T0 // HOUR_MS, CONTRACT.horizons_h[t.horizon], None if t.values is None else t.values[0])
        for t in truths
    ]


def test_the_first_window_of_an_hour_issues_and_its_newer_versions_do_so_again() -> None:
    station = Station()
    assert station.see(T0)[1], "a window that ends on the hour opens the new one"
    assert not station.see(T0 + MINUTE)[1]
    assert station.see(T0)[1], "a newer version of the window that issued"
    assert station.see(T0 + 2 * HOUR_MS + 7 * MINUTE)[1]
    assert not station.see(T0)[1], "the next hour's has been issued"
    assert not station.see(T0 + HOUR_MS)[1], "an hour that was passed over stays without"


def test_truth_is_taken_once_when_the_lateness_is_over() -> None:
    station = Station()
    station.see(T0)
    valid = T0 + 6 * HOUR_MS
    assert station.see(valid, 4.0)[0] == []
    assert station.see(valid + CONTRACT.lateness_ms - MINUTE, 5.0)[0] == []
    truths, _ = station.see(valid + CONTRACT.lateness_ms, 6.0)
    assert hours(truths) == [(0, 6, 4.0)] and truths[0].window_end == valid
    assert truths[0].judged == valid + CONTRACT.lateness_ms
    assert station.see(valid + CONTRACT.lateness_ms + MINUTE)[0] == [], "once"


@pytest.mark.parametrize(
    ("away", "found"),
    [(0, True), (TOLERANCE_MS, True), (-TOLERANCE_MS, True), (TOLERANCE_MS + MINUTE, False), (-11 * MINUTE, False)],
)
def test_truth_lies_within_ten_minutes_inclusive(away: int, found: bool) -> None:
    station = Station()
    station.see(T0)
    valid = T0 + 6 * HOUR_MS
    early, _ = station.see(valid + away, 4.0)
    truths, _ = station.see(valid + 30 * MINUTE, 9.0)
    assert hours(early + truths) == ([(0, 6, 4.0)] if found else [])


def test_the_nearest_row_is_the_truth_and_a_tie_takes_the_earlier() -> None:
    for earlier, later, wanted in ((-4, 5, 1.0), (-5, 4, 2.0), (-5, 5, 1.0)):
        station = Station()
        station.see(T0)
        valid = T0 + 6 * HOUR_MS
        station.see(valid + earlier * MINUTE, 1.0)
        station.see(valid + later * MINUTE, 2.0)
        assert hours(station.see(valid + 30 * MINUTE, 3.0)[0]) == [(0, 6, wanted)]


def test_without_a_row_it_is_unverifiable_after_two_hours_and_a_late_row_may_still_come() -> None:
    valid = T0 + 6 * HOUR_MS
    station = Station()
    station.see(T0)
    assert station.see(valid + HOUR_MS)[0] == []
    assert station.see(valid + GRACE_MS - MINUTE)[0] == []
    assert hours(station.see(valid + GRACE_MS)[0]) == [(0, 6, None)]
    late = Station()
    late.see(T0)
    late.see(valid + HOUR_MS)
    assert late.see(valid + 3 * MINUTE, 7.0)[0] == [], "before the lateness is over: the next row finds it"
    assert hours(late.see(valid + HOUR_MS + MINUTE)[0]) == [(0, 6, 7.0)]


def test_a_station_that_comes_back_settles_everything_at_once() -> None:
    station = Station()
    for hour in range(30):
        station.see(T0 + hour * HOUR_MS, float(hour))
    truths, _ = station.see(T0 + 200 * HOUR_MS)
    assert {v for _, _, v in hours(truths)} == {None} | {29.0}
    assert all(not waiting or waiting == [(T0 // HOUR_MS + 200, T0 + 200 * HOUR_MS)] for waiting in station.ledger.open)


# What is said


def pending(levels: tuple[float, ...], **changes: Any) -> Pending:
    """Of every target and horizon the same levels."""
    cells = len(CONTRACT.targets) * len(CONTRACT.horizons_h)
    whole = Pending(T0, 1, 7, 0, 41, b"\x5f" * 16, "champion", "3", False, levels * cells, (2.0,) * 3, (4.0,) * cells)
    return whole._replace(**changes)


LEVELS = (0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 8.0)


def test_judge_says_error_coverage_and_scores_for_the_model_and_its_baselines() -> None:
    truth = Truth(T0 // HOUR_MS, 1, (5.0, math.nan, 1009.0), T0 + 12 * HOUR_MS, T0 + 13 * HOUR_MS)
    cells = len(CONTRACT.horizons_h)
    levels = LEVELS * 2 * cells + tuple(x + 1000.0 for x in LEVELS) * cells
    records, verified, beyond, held = BOOK.judge("boston", pending(LEVELS)._replace(levels=levels), truth)
    temperature, humidity, pressure = records
    assert (temperature["target"], temperature["unit"], temperature["horizon_h"]) == ("temperature", "degC", 12)
    assert temperature["status"] == "verified" and temperature["truth"] == 5.0
    assert (temperature["issued"], temperature["valid"]) == (T0, T0 + 12 * HOUR_MS)
    assert temperature["model"]["value"] == 3.0 and temperature["model"]["error"] == -2.0
    assert [temperature["model"][f"covered_{b}"] for b in (50, 80, 90)] == [True, True, True], "an end is inside"
    assert temperature["model"]["width"] == temperature["model"]["winkler"] == 8.0
    wanted = sum(max(q * (5.0 - p), (q - 1) * (5.0 - p)) for q, p in zip(CONTRACT.levels, LEVELS, strict=True))
    assert temperature["model"]["pinball"] == pytest.approx(wanted)
    assert temperature["persistence"] == {"value": 2.0, "error": -3.0}
    assert temperature["dap"] == {"value": 4.0, "error": -1.0}
    assert humidity["status"] == "unverifiable" and humidity["truth"] is None
    assert humidity["model"]["covered_90"] is None and humidity["dap"] == {"value": 4.0, "error": None}
    assert pressure["model"]["covered_90"] is False and pressure["model"]["winkler"] == pytest.approx(8.0 + 20.0)
    assert verified == 2 and beyond == 0 and held == [(1, (True, True, True)), (7, (False, False, False))]
    assert len({r["id"] for r in records}) == 3


@pytest.mark.parametrize(
    ("measured", "judged", "beyond"),
    [(100.0, 100.0, 0), (103.0, 100.0, 1), (99.5, 99.5, 0), (0.0, 0.0, 0), (-1.0, 0.0, 1)],
)
def test_a_truth_beyond_the_support_is_judged_at_its_edge_and_counted(
    measured: float, judged: float, beyond: int
) -> None:
    """As the arrays that training and evaluate use judge it, for bands inside, at and beyond the edge."""
    bounds = conformal.bounds_of(CONTRACT)
    scales = np.array(CONTRACT.bands) / CONTRACT.bands[-1]
    for middle in (-4.0, 0.5, 50.0, 99.0, 104.0):
        heads = np.array([[280.0, 290.0, 300.0], [middle - 3.0, middle, middle + 2.0], [990.0, 1000.0, 1010.0]])
        heads = heads.reshape(1, 3, 1, 3)
        levels = conformal.levels(heads, scales[None, None, None], bounds)
        whole = tuple(x for k in range(3) for _ in CONTRACT.horizons_h for x in levels[0, k, 0].tolist())
        truth = Truth(T0 // HOUR_MS, 0, (10.0, measured, 1000.0), T0, T0)
        one = pending(LEVELS)._replace(levels=whole, persistence=(10.0, 102.0, 1000.0))
        found = BOOK.judge("seattle", one, truth)
        humidity = found.records[1]
        assert humidity["truth"] == judged and (found.verified, found.beyond) == (3, beyond)
        assert 0.0 <= humidity["model"]["value"] <= 100.0
        assert humidity["model"]["error"] == humidity["model"]["value"] - judged
        assert humidity["persistence"] == {"value": 100.0, "error": 100.0 - judged}, "a baseline stays inside too"
        score = conformal.score(heads, np.array([10.0, measured, 1000.0]).reshape(1, 3, 1), bounds)
        held = [humidity["model"][f"covered_{round(100 * band)}"] for band in CONTRACT.bands]
        assert held == [bool(score[0, 1, 0] <= scale) for scale in scales]
        ends = levels[0, 1, 0]
        assert humidity["model"]["width"] == ends[-1] - ends[0]
        outside = max(ends[0] - judged, judged - ends[-1], 0.0)
        assert humidity["model"]["winkler"] == pytest.approx(ends[-1] - ends[0] + 20.0 * outside)
        if middle == 104.0 and judged == 100.0:
            assert humidity["model"]["width"] == humidity["model"]["winkler"] == 0.0 and held == [True] * 3


def test_judge_is_silent_where_nothing_was_said() -> None:
    truth = Truth(T0 // HOUR_MS, 0, (5.0, 5.0, 5.0), T0, T0)
    nothing = tuple([math.nan] * len(LEVELS))
    assert BOOK.judge("boston", pending(nothing), truth).records == []
    assert BOOK.judge("boston", pending(LEVELS)._replace(levels=(), dap=(), persistence=()), truth).records == []
    records = BOOK.judge("boston", pending(LEVELS, persistence=(math.nan,) * 3), truth).records
    assert records[0]["persistence"] == {"value": None, "error": None}


def test_a_truth_where_no_datum_can_be_is_a_miss_and_moves_no_band() -> None:
    cells = len(CONTRACT.horizons_h)

    def judged(median: float, y: float) -> tuple[bool, int, list[int]]:
        truth = Truth(T0 // HOUR_MS, 0, (3.0, 3.0, y), T0, T0)
        levels = LEVELS * 2 * cells + tuple(x - 3.0 + median for x in LEVELS) * cells
        found = BOOK.judge("denver", pending(LEVELS)._replace(levels=levels), truth)
        # The same by the arrays that evaluate uses.
        heads = np.array([[0.0, m, 8.0] for m in (3.0, 3.0, median)]).reshape(1, 3, 1, 3)
        taught = conformal.taught(CONTRACT, heads, np.array([3.0, 3.0, y]).reshape(1, 3, 1))
        assert [cell for cell, _ in found.held] == [k * cells for k in range(3) if not math.isnan(taught[0, k, 0])]
        return found.records[2]["model"]["covered_90"], found.verified, [cell // cells for cell, _ in found.held]

    assert CONTRACT.datums["pressure"] == (870.0, 1085.0)
    assert judged(1015.0, 869.9) == (False, 3, [0, 1])
    assert judged(1015.0, 870.0) == (False, 3, [0, 1, 2])
    # A station that stands there is forecast there.
    assert judged(840.0, 860.0) == (False, 3, [0, 1, 2])


def test_a_pending_forecast_goes_through_its_record_and_another_shape_is_left_alone() -> None:
    for one in (pending(LEVELS, in_sample=True), pending((), persistence=(), dap=(), model_version="")):
        assert BOOK.read_pending(BOOK.pending_record("boston", one)) == one
    assert Book(meters()).read_pending(BOOK.pending_record("boston", pending(LEVELS))) is None


# Coverage


def coverage(scale_after: float, days: int, rng: np.random.Generator) -> list[list[float]]:
    """Share of hits of the 90 % band by day after the change and by horizon, over many stations whose hourly errors are
    normal and, after 40 days, larger by a factor. Bands start right for the errors before. [day][horizon].
    """
    adaptation, horizons = Adaptation(CONTRACT.bands), CONTRACT.horizons_h
    z = np.array([0.6745, 1.2816, 1.6449])
    before, stations = 40 * 24, 12
    hits = np.zeros((days, len(horizons)))
    for _ in range(stations):
        errors = np.abs(rng.normal(size=(before + days * 24, 3, len(horizons))))
        errors[before:] *= scale_after
        ratios = (1.0,) * 27
        issued: list[np.ndarray] = []
        for t in range(before + days * 24):
            judged = []
            for j, h in enumerate(horizons):
                if t > h:
                    # The error of a forecast is that of its valid time.
                    inside = errors[t - 1, :, j][:, None] <= issued[t - 1 - h][:, j]
                    judged += [(k * len(horizons) + j, tuple(inside[k].tolist())) for k in range(3)]
                    if t > before:
                        hits[(t - 1 - before) // 24, j] += inside[:, 2].sum()
            ratios = adaptation.step(ratios, judged)
            issued.append(np.maximum.accumulate(z * np.array(ratios).reshape(3, len(horizons), 3), axis=-1))
    return (hits / (stations * 3 * 24)).tolist()


def test_coverage_is_back_within_five_days_after_the_error_scale_rose_by_half() -> None:
    by_day = coverage(1.5, 12, np.random.default_rng(3))
    assert max(by_day[0]) < 0.8, "the change is seen at first"
    for horizon in range(3):
        later = [day[horizon] for day in by_day[5:11]]
        assert min(later) >= 0.87 and max(later) <= 0.93, by_day


def test_bands_stay_where_they_are_while_nothing_changes() -> None:
    by_day = np.array(coverage(1.0, 10, np.random.default_rng(4)))
    assert np.all(np.abs(by_day.mean(axis=0) - 0.9) < 0.01)


def test_adaptation_is_bounded_and_keeps_still_without_truths() -> None:
    adaptation = Adaptation(CONTRACT.bands)
    ratios = (1.0,) * 27
    assert adaptation.step(ratios, []) == ratios
    for _ in range(1_000):
        ratios = adaptation.step(ratios, [(4, (False, False, False))])
    assert max(ratios) == RATIO_MAX and min(ratios) > 1.0, "all of the station's bands share in it"


# The rules against an oracle, and a restore at any row


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("contract", [CONTRACT, meters(), GAUGES], ids=["weather", "meters", "gauges"])
def test_due_and_opens_equal_a_look_at_every_row_and_survive_a_restore(contract: Contract, seed: int) -> None:
    rng = np.random.default_rng(seed)
    book, fold = Book(contract), Fold(contract)
    state, ledger = fold.new_state(), Ledger(contract)
    issues: dict[int, int] = {}
    taken: dict[tuple[int, int], int | None] = {}
    records: dict[int, Pending] = {}
    calibration: bytes | None = None
    last = T0
    gaps = np.array([MINUTE, 5 * MINUTE, 10 * MINUTE, 25 * MINUTE, HOUR_MS, 3 * HOUR_MS, 0, -4 * MINUTE, -20 * MINUTE])
    for revision in range(400):
        t = last + int(rng.choice(gaps, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.02, 0.04, 0.02, 0.02]))
        t -= t % contract.slide_ms
        last = max(last, t)
        if fold.step(state, row(contract, "a", t, 1, revision, {})).status != "applied":
            continue
        wanted = []
        live = [c for c in state.cells.values() if c.cell > state.newest - contract.ring_cells]
        for j, h in enumerate(contract.horizons_h):
            for hour, issued in sorted(issues.items()):
                valid = issued + h * HOUR_MS
                if (hour, j) in taken or t < valid + contract.lateness_ms:
                    continue
                near = sorted((abs(c.window_end - valid), c.window_end) for c in live)
                found = near[0][1] if near and near[0][0] <= TOLERANCE_MS else None
                if found is not None or t >= valid + GRACE_MS:
                    wanted.append((hour, j, found))
                    taken[hour, j] = found
        got = [(x.hour, x.horizon, x.window_end) for x in book.due(ledger, state, t)]
        assert got == wanted
        opens = t // HOUR_MS > max(issues, default=-1) or t == issues.get(max(issues))
        assert book.opens(ledger, t) == opens
        if opens:
            issues[t // HOUR_MS] = t
            one = Pending(t, 1, revision, 0, 0, b"0" * 16, "champion", "", False, (), (), ())
            ledger.pendings[t // HOUR_MS] = records[book.slot(t)] = one
        if got:
            record = book.calibration_record("a", "champion", book.waiting(ledger), ledger.corrections, 0)
            calibration = record["payload"]
        book.forget(ledger)
        if rng.random() < 0.3:
            restored = book.restore(records.values(), calibration)
            assert restored.remembered() == ledger.remembered()
            ledger = restored
    assert sum(found is not None for found in taken.values()) > 20
    assert sum(found is None for found in taken.values()) > 0


# Horizons that are no whole number of hours


def test_a_forecast_for_half_an_hour_is_judged_then_and_says_so_in_its_record() -> None:
    """Rows every five minutes rise by a centimetre: each horizon meets the row that ends at its own moment."""
    book, fold = Book(GAUGES), Fold(GAUGES)
    state, ledger, level = fold.new_state(), Ledger(GAUGES), GAUGES.history_values.index("level_mean")
    truths: dict[float, tuple[int, float]] = {}
    for i in range(60):
        t = T0 + i * GAUGES.slide_ms
        assert fold.step(state, row(GAUGES, "g-1", t, 1, i, {"level_mean": i / 100})).status == "applied"
        for truth in book.due(ledger, state, t):
            if truth.hour == T0 // HOUR_MS and truth.values is not None and truth.window_end is not None:
                truths[GAUGES.horizons_h[truth.horizon]] = (truth.window_end - T0, truth.values[0])
        book.opens(ledger, t)
    assert level == 0 and truths == {
        0.5: (1_800_000, 0.06),
        1.5: (5_400_000, 0.18),
        3: (10_800_000, 0.36),
    }
    assert book.slots == 3 + 2 + 2, "hours that can wait at once, the grace among them, and one more"
    schema = json.loads(GAUGES.schemas["verifications"])
    (field,) = [f for f in schema["fields"] if f["name"] == "horizon_h"]
    assert field["type"] == "double"
    assert [horizon_name(h) for h in (*GAUGES.horizons_h, 24, 0.25)] == ["30m", "90m", "3h", "24h", "15m"]
