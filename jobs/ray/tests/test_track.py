"""Bands over months: only the past decides, stations keep their share, and bands follow when errors grow."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.judge import track
from ray_jobs.judge.track import Month, StationForecasts
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.ledger import conformal
from tests.tables import epoch_ms

SMALL = replace(CONTRACT, targets=("temperature", "humidity"), horizons_ms=(6 * HOUR_MS, 24 * HOUR_MS))
START, END = epoch_ms("2016-01-04"), epoch_ms("2016-06-01")


def heard(station: str, wider: float, seed: int) -> StationForecasts:
    """Heads that say one, errors of a normal distribution `wider` than they think, another winter than spring; each
    error lasts for half a day.
    """
    rng = np.random.default_rng(seed)
    ends = np.arange(START + 60_000, END, HOUR_MS, dtype=np.int64)
    n = len(ends)
    heads = np.tile(np.array([-1.0, 0.0, 1.0]), (n, 2, 2, 1)) + 50
    season = np.where(ends < epoch_ms("2016-04-01"), 1.0, 0.8)[:, None, None]
    truth = 50 + wider * season * rng.normal(size=(n, 2, 2)) / 1.645
    truth[rng.random(n) < 0.02] = np.nan
    there = ~np.isnan(truth)
    return StationForecasts(station, ends, heads, truth, there, there)


STATIONS = [heard("boston", 0.8, 1), heard("denver", 1.0, 2), heard("miami", 1.4, 3)]
MONTHS = track.months_of(START, END)


def test_months_have_a_past_and_are_thirteen_at_most() -> None:
    assert MONTHS[0] == Month(epoch_ms("2016-02-01"), epoch_ms("2016-03-01"))
    assert [m.from_ms for m in MONTHS[1:]] == [m.to_ms for m in MONTHS[:-1]] and MONTHS[-1].to_ms == END
    year = track.months_of(START, epoch_ms("2017-03-01"))
    assert len(year) == 13 and year[1].from_ms == epoch_ms("2016-03-01")
    assert year[-1] == Month(epoch_ms("2017-02-01"), epoch_ms("2017-03-01"))
    cut = track.months_of(START, epoch_ms("2016-11-28"))
    assert cut[-1] == Month(epoch_ms("2016-11-01"), epoch_ms("2016-11-28")) and len(cut) == 10
    assert track.months_of(START, epoch_ms("2016-01-20")) == []


def test_a_month_is_calibrated_by_what_was_known_before_it() -> None:
    static = track.static_of(SMALL, MONTHS, STATIONS)
    later = [
        s._replace(truth=np.where((s.ends >= MONTHS[1].from_ms - 6 * HOUR_MS)[:, None, None], 90.0, s.truth))
        for s in STATIONS
    ]
    changed = track.static_of(SMALL, MONTHS, later)
    assert np.array_equal(changed.scales[:2, :, 0], static.scales[:2, :, 0])
    assert not np.array_equal(changed.scales[2], static.scales[2])
    # By the definition, for one of them.
    known = [s.ends + 6 * HOUR_MS + SMALL.lateness_ms < MONTHS[1].from_ms for s in STATIONS]
    bounds = conformal.bounds_of(SMALL)
    score = np.concatenate(
        [conformal.score(s.heads[u], s.truth[u], bounds)[:, 0, 0] for s, u in zip(STATIONS, known, strict=True)]
    )
    score = score[~np.isnan(score)]
    assert static.scales[1, 0, 0, -1] == pytest.approx(np.quantile(score, 0.9 * (1 + 1 / len(score))))
    assert static.margins[1, 0, 0] == pytest.approx(np.quantile(score - 1, 0.9 * (1 + 1 / len(score))))
    unclean = [s._replace(clean=s.clean & (s.ends < MONTHS[0].from_ms)[:, None, None]) for s in STATIONS]
    assert np.array_equal(track.static_of(SMALL, MONTHS, unclean).scales[0], static.scales[0])


def test_adapt_goes_on_where_it_was_left() -> None:
    one = STATIONS[2]
    score = conformal.score(one.heads, one.truth, conformal.bounds_of(SMALL))
    base = np.broadcast_to(np.array([0.4, 0.8, 1.0]), (len(one.ends), 2, 2, 3))
    whole = track.adapt(SMALL, base, score, one.ends)
    for begin in (1, 30, 700):
        again = track.adapt(SMALL, base, score, one.ends, whole, begin, begin + 200)
        assert np.array_equal(again.scales, whole.scales)
        assert again.ratios == whole.ratios[: begin + 200]
    other = np.where((np.arange(len(score)) >= 500)[:, None, None], 9.0, score)
    moved = track.adapt(SMALL, base, other, one.ends, whole, 500, 700)
    assert np.array_equal(moved.scales[:700], track.adapt(SMALL, base, other, one.ends).scales[:700])


def test_the_margin_of_static_bands_is_what_holds_a_truth_at_an_edge() -> None:
    """Additive bands by their definition: for any margin, a served band holds the truth exactly when the margin is at
    least what this says.
    """
    rng = np.random.default_rng(8)
    bounds = conformal.bounds_of(SMALL)
    middle = np.stack([rng.normal(55, 4, 900), rng.normal(97, 6, 900)], axis=1)[:, :, None]
    heads = np.stack([middle - 3, middle, middle + 2], axis=-1)
    measured = middle + rng.normal(0, 5, middle.shape)
    truth = bounds.clamp(measured)
    assert bounds.beyond(measured).sum() > 200
    needed = track._beyond(heads, truth, bounds)
    for margin in (-4.0, -1.0, 0.5, 3.0):
        low, high = bounds.clamp(heads[..., 0] - margin), bounds.clamp(heads[..., 2] + margin)
        # Ends that have crossed hold nothing, but at an edge, where both are cut off.
        assert np.array_equal((low <= truth) & (truth <= high), needed <= margin)


def test_stations_keep_their_share_and_the_bands_follow() -> None:
    static = track.static_of(SMALL, MONTHS, STATIONS)
    found = track.summary_of_months(SMALL, MONTHS, track.count_stations(SMALL, MONTHS, static, STATIONS))
    assert found["band"] == 90 and len(found["months"]) == len(MONTHS) == 4
    assert len(found["cells"]) == 4
    for cell in found["cells"]:
        assert cell["coverage_90"] == pytest.approx(0.9, abs=0.01)
        assert cell["coverage_50"] == pytest.approx(0.5, abs=0.02)
        # Without adapting, the station whose errors are the largest is covered least.
        assert 0.86 < cell["least_coverage"] < cell["coverage_90"] < cell["most_coverage"] < 0.94
        assert cell["winkler_over_static"] < 1.0
        assert cell["pairs"] == sum(np.sum(s.judged[s.ends >= MONTHS[0].from_ms, 0, 0]) for s in STATIONS)
        # In April errors are smaller than all that came before.
        assert cell["months"][2]["static_coverage_90"] > 0.92
        assert cell["months"][2]["coverage_90"] < cell["months"][2]["static_coverage_90"]
    assert found["floor"]["cells"] == found["floor"]["network_held"] == found["floor"]["winkler_held"] == 4


def test_coverage_is_back_within_five_days_of_a_growth() -> None:
    """The floor of the design, on errors that do not repeat themselves: errors grow by half, and within five days of
    event time the 90 % band holds 87 to 93 % again.
    """
    static = track.static_of(SMALL, MONTHS, STATIONS)
    growth = track.summary_of_months(SMALL, MONTHS, track.count_stations(SMALL, MONTHS, static, STATIONS))["growth"]
    # Nothing comes before the first month, so nothing can grow there.
    assert growth["starts_ms"] == [m.from_ms for m in MONTHS[1:]]
    assert len(growth["coverage"]) == track.DAYS
    assert growth["coverage"][0] < 0.8
    assert all(c == pytest.approx(0.9, abs=0.03) for c in growth["without"])
    assert growth["back_on_day"] is not None and growth["back_on_day"] <= 5


def test_back_on_is_the_first_day_within_three_points() -> None:
    assert track.back_on([0.7, None, 0.869, 0.871, 0.8], 0.9) == 4
    assert track.back_on([0.94, 0.95], 0.9) is None
    assert track.back_on([], 0.9) is None


def test_a_station_without_a_single_pair_does_not_count() -> None:
    silent = STATIONS[0]._replace(
        station="silent", truth=np.full_like(STATIONS[0].truth, math.nan), judged=np.zeros_like(STATIONS[0].judged)
    )
    both = [STATIONS[1], silent]
    static = track.static_of(SMALL, MONTHS, both)
    found = track.summary_of_months(SMALL, MONTHS, track.count_stations(SMALL, MONTHS, static, both))
    assert {c["least_covered"] for c in found["cells"]} == {"denver"}
    nothing = track.summary_of_months(SMALL, MONTHS, track.count_stations(SMALL, MONTHS, static, [silent]))
    assert nothing["cells"] == [] and nothing["growth"]["back_on_day"] is None
