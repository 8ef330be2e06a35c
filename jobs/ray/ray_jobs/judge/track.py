"""Whether the bands keep their promise over a year: month after month forward in time, each calibrated by its past.

The part of evaluate.py that one quarter is too short for: a station's coverage, and how fast bands follow when errors
grow. The model's own calibration is not used, since it has seen most of these months; instead every month gets the
scales that the scores known before it would have given, and a station's ratios are carried through all of them as the
actor carries them. Pure: evaluate.py brings heads and truths.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ray_jobs.generated.contract import Contract
from ray_jobs.judge import scores
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.ledger import conformal

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DAY_MS = 24 * HOUR_MS
# Months that are shown; one more before them lets the ratios settle where there are truths for it.
MONTHS = 12
# What a month's scales need of the past at least, and take of it at most.
LEAST_PAST_MS = 21 * DAY_MS
MOST_PAST_MS = 366 * DAY_MS
# All errors grow by this factor at the beginning of a month, and so many days after it are looked at.
GROWTH = 1.5
DAYS = 10
# How far from its share the widest band may be: over the network, at a station, and on a day to count as back.
NETWORK, STATION, BACK = 0.01, 0.02, 0.03
# What adapting may cost: Winkler over that of static bands.
COST = 1.03


class Month(NamedTuple):
    """Issue times [from_ms, to_ms)."""

    from_ms: int
    to_ms: int


class StationForecasts(NamedTuple):
    """One station's forecasts since heads stopped learning, hour by hour.

    Shapes: `ends` [n] issue times; `heads` [n, target, horizon, 3]; [n, target, horizon] each: `truth` within the
    target's bounds, NaN where none, `clean`, whether it is no fault, and `judged`, whether the pair counts.
    """

    station: str
    ends: NDArray[np.int64]
    heads: Floats
    truth: Floats
    clean: Flags
    judged: Flags


class Static(NamedTuple):
    """Bands of each month by the scores before it: `scales` [month, target, horizon, band], and `margins` [month,
    target, horizon] of additive CQR (Romano, Patterson, Candes 2019) for the widest band, which adapting is measured
    against.
    """

    scales: Floats
    margins: Floats


class Adapted(NamedTuple):
    """Scales [n, target, horizon, band] as issued, and the station's flat ratios at each row."""

    scales: Floats
    ratios: list[tuple[float, ...]]


class Counted(NamedTuple):
    """What one station adds up to. By month [month, target, horizon]: `pairs`, `held` [..., band], `static_held`, and
    sums of Winkler, adapted and static. After a growth of errors [start, day, 2]: pairs and how many the widest band
    held, and the same without the growth.
    """

    station: str
    pairs: Floats
    held: Floats
    static_held: Floats
    winkler: Floats
    static_winkler: Floats
    grown: Floats
    same: Floats


def months_of(learnt_to: int, to_ms: int) -> list[Month]:
    """Calendar months (UTC) up to `to_ms`, which cuts the last one short: at most MONTHS and one before them, each with
    enough of a past since `learnt_to`.
    """
    last = np.datetime64(to_ms - 1, "ms").astype("datetime64[M]")
    starts = [int((last - i).astype("datetime64[ms]").astype(np.int64)) for i in reversed(range(MONTHS + 1))]
    both = zip(starts, [*starts[1:], to_ms], strict=True)
    return [Month(a, b) for a, b in both if a >= learnt_to + LEAST_PAST_MS]


def static_of(contract: Contract, months: list[Month], stations: list[StationForecasts]) -> Static:
    """What one calibration for the whole network would have been at the beginning of each month."""
    shape = (len(months), len(contract.targets), len(contract.horizons_h))
    scales, margins = np.ones((*shape, len(contract.bands))), np.zeros(shape)
    bounds = conformal.bounds_of(contract)
    ends = np.concatenate([s.ends for s in stations])
    cleaned = [np.where(s.clean, s.truth, np.nan) for s in stations]
    scored = [conformal.score(s.heads, truth, bounds) for s, truth in zip(stations, cleaned, strict=True)]
    missed = [_beyond(s.heads, truth, bounds) for s, truth in zip(stations, cleaned, strict=True)]
    for j, horizon_ms in enumerate(contract.horizons_ms):
        known = ends + horizon_ms + contract.lateness_ms
        for k in range(shape[1]):
            score, beyond = (np.concatenate([one[:, k, j] for one in many]) for many in (scored, missed))
            for m, month in enumerate(months):
                past = (known < month.from_ms) & (known >= month.from_ms - MOST_PAST_MS) & ~np.isnan(score)
                count = int(past.sum())
                if count:
                    shares = np.minimum(1.0, np.array(contract.bands) * (1.0 + 1.0 / count))
                    scales[m, k, j] = np.quantile(score[past], shares)
                    margins[m, k, j] = np.quantile(beyond[past], shares[-1])
    return Static(scales, margins)


def _beyond(heads: Floats, truth: Floats, bounds: conformal.Bounds) -> Floats:
    """The margin by which the outer heads have to move apart to hold the truth, below 0 where they may move together.
    [n, target, horizon]. At an edge only the head towards it can miss: the other one is cut off there.
    """
    low, high = (np.broadcast_to(end[:, None], truth.shape[1:]) for end in bounds)
    under = np.where(truth >= high, -np.inf, heads[..., 0] - truth)
    over = np.where(truth <= low, -np.inf, truth - heads[..., 2])
    return np.maximum(under, over)


def adapt(
    contract: Contract,
    base: Floats,
    score: Floats,
    ends: NDArray[np.int64],
    before: Adapted | None = None,
    begin: int = 0,
    until: int | None = None,
) -> Adapted:
    """Scales of the bands at each forecast, as the actor moves them by the truths it knows by then: those of t + h from
    the row with window_end >= t + h + lateness on.

    Shapes: `base` [n, target, horizon, band] scales that ratios are over, `score` [n, target, horizon], NaN without a
    truth. With `before`, what was found for the same rows goes on at row `begin`; `until` is the row to stop at.
    """
    steps = conformal.Adaptation(contract.bands)
    delays = [h + contract.lateness_ms for h in contract.horizons_ms]
    count, shape = len(delays), base.shape[1:]
    until = len(ends) if until is None else until
    if before is None:
        begin = 0
    out = np.empty(base.shape) if before is None else before.scales.copy()
    kept = [] if before is None else before.ratios[:begin]
    ratios = kept[-1] if kept else (1.0,) * math.prod(shape)
    waiting = [int(np.searchsorted(ends + d, ends[begin - 1], side="right")) if begin else 0 for d in delays]
    told = ~np.isnan(score)
    for i in range(begin, until):
        end = int(ends[i])
        judged: list[tuple[int, tuple[bool, ...]]] = []
        for j, delay in enumerate(delays):
            while waiting[j] < i and ends[waiting[j]] + delay <= end:
                then = waiting[j]
                held = (score[then, :, j, None] <= out[then, :, j]).tolist()
                judged += [(k * count + j, tuple(held[k])) for k in range(shape[0]) if told[then, k, j]]
                waiting[j] += 1
        ratios = steps.step(ratios, judged)
        kept.append(ratios)
        out[i] = conformal.rising(base[i] * np.array(ratios).reshape(shape))
    return Adapted(out, kept)


def count_stations(
    contract: Contract, months: list[Month], static: Static, stations: list[StationForecasts]
) -> list[Counted]:
    """Pure: a task that is run again says the same."""
    return [_of_station(contract, months, static, heard) for heard in stations]


def _of_station(contract: Contract, months: list[Month], static: Static, heard: StationForecasts) -> Counted:
    use = heard.ends >= months[0].from_ms
    heard = heard._replace(**{name: getattr(heard, name)[use] for name in StationForecasts._fields[1:]})
    month = np.searchsorted([m.from_ms for m in months], heard.ends, side="right") - 1
    base = static.scales[month]
    # A truth that teaches nothing is in no band, whatever its scale: NaN.
    bounds = conformal.bounds_of(contract)
    score = conformal.score(heard.heads, conformal.taught(contract, heard.heads, heard.truth), bounds)
    found = adapt(contract, base, score, heard.ends)
    said = conformal.levels(heard.heads, found.scales, bounds)
    margin = static.margins[month]
    flat_low = bounds.clamp(heard.heads[..., 0] - margin)
    flat_high = bounds.clamp(heard.heads[..., 2] + margin)
    band = contract.bands[-1]
    held = score[..., None] <= found.scales
    shape = (len(months), *heard.truth.shape[1:])
    out = {name: np.zeros(shape) for name in ("pairs", "static_held", "winkler", "static_winkler")}
    inside = np.zeros((*shape, len(contract.bands)))
    with np.errstate(invalid="ignore"):
        ours = scores.winkler(heard.truth, said[..., 0], said[..., -1], band)
        theirs = scores.winkler(heard.truth, flat_low, flat_high, band)
        flat = (heard.truth >= flat_low) & (heard.truth <= flat_high)
    for m in range(len(months)):
        rows = month == m
        some = heard.judged[rows]
        out["pairs"][m] = some.sum(axis=0)
        out["static_held"][m] = (flat[rows] & some).sum(axis=0)
        out["winkler"][m] = np.where(some, ours[rows], 0.0).sum(axis=0)
        out["static_winkler"][m] = np.where(some, theirs[rows], 0.0).sum(axis=0)
        inside[m] = (held[rows] & some[..., None]).sum(axis=0)
    grown, same = _growths(contract, months, base, heard, score, found)
    return Counted(heard.station, held=inside, grown=grown, same=same, **out)


def _growths(
    contract: Contract, months: list[Month], base: Floats, heard: StationForecasts, score: Floats, found: Adapted
) -> tuple[Floats, Floats]:
    """Pairs and how many the widest band held, by the day of their valid time, when all errors are larger from the
    beginning of a month on, and when they are not. [start, day, 2] each.
    """
    shape = (len(months), DAYS, 2)
    grown, same = np.zeros(shape), np.zeros(shape)
    valid = heard.ends[:, None] + np.array(contract.horizons_ms, dtype=np.int64)
    for s, month in enumerate(months):
        day = (valid - month.from_ms) // DAY_MS
        begin = int(np.searchsorted(heard.ends, month.from_ms))
        until = int(np.searchsorted(heard.ends, month.from_ms + DAYS * DAY_MS))
        if not 0 < begin < until:
            continue
        # A score is an error in half-widths of the heads: it grows as the error does.
        larger = np.where((valid >= month.from_ms)[:, None, :], score * GROWTH, score)
        after = adapt(contract, base, larger, heard.ends, found, begin, until)
        for out, seen, scales in ((grown, larger, after.scales), (same, score, found.scales)):
            held = seen <= scales[..., -1]
            for d in range(DAYS):
                rows = (day == d)[:, None, :] & heard.judged
                out[s, d] = rows.sum(), (held & rows).sum()
    return grown, same


def summary_of_months(contract: Contract, months: list[Month], stations: list[Counted]) -> dict[str, Any]:
    """Coverage and cost of the widest band over the shown months, and how fast it follows; as JSON can hold it."""
    shown = slice(max(0, len(months) - MONTHS), len(months))
    percents = [round(100 * b) for b in contract.bands]
    widest, share = percents[-1], contract.bands[-1]
    total = {
        name: np.stack([getattr(s, name) for s in stations])[:, shown]
        for name in ("pairs", "held", "static_held", "winkler", "static_winkler")
    }
    cells = []
    for k, target in enumerate(contract.targets):
        for j, horizon in enumerate(contract.horizons_h):
            of = {name: value[:, :, k, j] for name, value in total.items()}
            pairs = of["pairs"].sum(axis=1)
            if not pairs.any():
                continue
            here = [
                (float(h / n), s.station)
                for h, n, s in zip(of["held"][..., -1].sum(1), pairs, stations, strict=True)
                if n
            ]
            least, most = min(here), max(here)
            cell: dict[str, Any] = {"target": target, "horizon_h": horizon, "pairs": float(pairs.sum())}
            cell |= {f"coverage_{p}": float(of["held"][..., b].sum() / pairs.sum()) for b, p in enumerate(percents)}
            cell |= {
                f"static_coverage_{widest}": float(of["static_held"].sum() / pairs.sum()),
                "least_covered": least[1],
                "least_coverage": least[0],
                "most_covered": most[1],
                "most_coverage": most[0],
                f"winkler_{widest}_{scores.unit_word(contract.field(target).unit)}": float(
                    of["winkler"].sum() / pairs.sum()
                ),
                "winkler_over_static": float(of["winkler"].sum() / of["static_winkler"].sum()),
            }
            cell["months"] = [
                {
                    f"coverage_{widest}": _ratio(of["held"][:, m, -1].sum(), of["pairs"][:, m].sum()),
                    f"static_coverage_{widest}": _ratio(of["static_held"][:, m].sum(), of["pairs"][:, m].sum()),
                    "winkler_over_static": _ratio(of["winkler"][:, m].sum(), of["static_winkler"][:, m].sum()),
                }
                for m in range(of["pairs"].shape[1])
            ]
            cells.append(cell)
    return {
        "band": widest,
        "months": [month._asdict() for month in months[shown]],
        "cells": cells,
        "floor": {
            "network": NETWORK,
            "station": STATION,
            "winkler_over_static": COST,
            "cells": len(cells),
            "network_held": sum(abs(c[f"coverage_{widest}"] - share) <= NETWORK for c in cells),
            "station_held": sum(
                share - STATION <= c["least_coverage"] and c["most_coverage"] <= share + STATION for c in cells
            ),
            "winkler_held": sum(c["winkler_over_static"] <= COST for c in cells),
        },
        "growth": _growth_summary(share, months[shown], stations, shown),
    }


def _growth_summary(share: float, months: list[Month], stations: list[Counted], shown: slice) -> dict[str, Any]:
    grown = sum((s.grown for s in stations), np.zeros_like(stations[0].grown))[shown]
    same = sum((s.same for s in stations), np.zeros_like(stations[0].same))[shown]
    used = grown[:, 0, 0] > 0
    by_start = [_shares(day) for day in grown[used]]
    whole = _shares(grown[used].sum(axis=0))
    return {
        "factor": GROWTH,
        "within": BACK,
        "starts_ms": [month.from_ms for month, use in zip(months, used, strict=True) if use],
        "coverage": whole,
        "without": _shares(same[used].sum(axis=0)),
        "back_on_day": back_on(whole, share),
        "back_by_start": [back_on(one, share) for one in by_start],
    }


def back_on(days: list[float | None], share: float) -> int | None:
    """The first day, counted from 1, with a coverage within BACK of its share; None when there is none."""
    return next((d for d, c in enumerate(days, start=1) if c is not None and abs(c - share) <= BACK), None)


def _shares(days: Floats) -> list[float | None]:
    return [_ratio(held, pairs) for pairs, held in days]


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None
