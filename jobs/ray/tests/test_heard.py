"""What was heard of neighbours follows from how partitions interleave; with it, all else is the same in any run."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ray_jobs.fold.fold import Fold
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.stream.predict import Incoming, Names, Outcome, Scorer
from tests.heard import HeardFold, heard, rows_of, wrong_heard
from tests.scores import FakeModel
from tests.topics import PARTITIONS, codecs_of, decoders_of, traffic, usable

# Not part of make test-quick: folds a whole feed several times.
pytestmark = pytest.mark.slow

T0 = 1_480_550_400_000
# Years later, as for a replay of the past.
APPENDED_MS = 1_700_000_000_000
FOLD = Fold(CONTRACT)
DECODERS = decoders_of(CONTRACT)
STATIONS = ("new-york", "boston", "chicago", "miami", "denver")


def arrivals() -> list[Incoming]:
    """Five stations over the partitions, in the order they were produced."""
    ends = [0] * PARTITIONS
    out: list[Incoming] = []
    for key, value in traffic(CONTRACT, 1_500, 11, T0):
        partition = STATIONS.index(key) % PARTITIONS
        out.append(Incoming(partition, ends[partition], APPENDED_MS, key.encode(), value, {}))
        ends[partition] += 1
    return out


def run(batch: list[Incoming], fold: Fold = FOLD) -> tuple[Outcome, list[dict[str, Any]]]:
    scorer = Scorer(CONTRACT, Names("t", "t-features", "champion"), codecs_of(CONTRACT), lambda: 0)
    scorer.fold = fold
    out = scorer.score(batch, FakeModel(CONTRACT, "1"), [])
    return out, [DECODERS["predictions"](value) for _, value in out.predictions]


BATCH = arrivals()
BY_PARTITION = sorted(BATCH, key=lambda i: i.partition)


def content(out: Outcome) -> tuple[Any, ...]:
    return sorted(out.predictions), sorted(out.verifications), {(p, k): v for p, k, v in out.history}


def test_another_interleaving_hears_otherwise_and_hearing_the_same_makes_the_same() -> None:
    first, predictions = run(BATCH)
    assert content(run(BY_PARTITION)[0]) != content(first), "the interleaving shows, or this test shows nothing"
    assert content(run(BY_PARTITION, HeardFold(CONTRACT, predictions))[0]) == content(first)


def test_what_was_heard_are_rows_of_the_neighbours_as_of_the_delay() -> None:
    rows = rows_of(CONTRACT, usable((i.value for i in BATCH), DECODERS["features"]))
    for batch in (BATCH, BY_PARTITION):
        _, predictions = run(batch)
        assert sum(1 for p in predictions for _ in heard(CONTRACT, FOLD, p)) > 500
        assert list(wrong_heard(CONTRACT, predictions, rows)) == []


def test_a_value_nobody_said_and_a_row_from_too_near_are_found() -> None:
    _, predictions = run(BATCH)
    rows = rows_of(CONTRACT, usable((i.value for i in BATCH), DECODERS["features"]))
    one = copy.deepcopy(next(p for p in predictions if any(True for _ in heard(CONTRACT, FOLD, p))))
    name, asked_ms, row = next(heard(CONTRACT, FOLD, one))
    age = FOLD.input_names.index(name)
    changed = copy.deepcopy(one)
    changed["inputs"][age - 1] += 0.5
    assert "nobody said" in next(wrong_heard(CONTRACT, [changed], rows))
    fresh = copy.deepcopy(one)
    fresh["inputs"][age] = (one["timestamp"] - asked_ms) / HOUR_MS
    now = (row[0], asked_ms, *row[2:])
    assert "not as of" in next(wrong_heard(CONTRACT, [fresh], rows | {now}))
