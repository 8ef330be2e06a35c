"""The form of a history record: keys that cannot meet, records of the commit before, and kinds nobody here knows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.kit.io import Decoder, Encoder
from ray_jobs.ledger.conformal import bounds_of
from ray_jobs.ledger.records import LedgerRecords
from ray_jobs.ledger.verify import LEDGERS, Book, Pending
from ray_jobs.state import changelog, ring
from ray_jobs.state.history import GlobalTable, Restoration
from ray_jobs.state.ring import StationState
from ray_jobs.train.seed import partition_of
from tests import golden_files, golden_forecasts
from tests.golden_forecasts import DIGITS

BOOK = Book(CONTRACT)
BEFORE = golden_files.GOLDEN.parent / "before"
# Names that a key could be taken apart at, and those of the kinds themselves.
STATIONS = st.one_of(
    st.sampled_from(["cursor", "cell", "cursor|0", "a|7", "a", "7|a", "|", "champion|3|a", "p3", "a|calibration"]),
    st.text(min_size=1, max_size=8),
)
WORDS = st.text(st.characters(exclude_characters="|", codec="utf-8"), min_size=1, max_size=6)
KEYS = st.one_of(
    st.tuples(st.just("cell"), st.tuples(st.integers(0, 1439).map(str)), STATIONS),
    st.tuples(st.just("cursor"), st.tuples(st.integers(0, 9).map(str)), st.none()),
    st.tuples(st.just("pending"), st.tuples(WORDS, st.integers(0, 30).map(str)), STATIONS),
    st.tuples(st.just("calibration"), st.tuples(WORDS), STATIONS),
)


@pytest.mark.slow
@given(KEYS, KEYS)
def test_keys_meet_only_when_they_say_the_same_and_can_be_taken_apart(one: Any, other: Any) -> None:
    made = [changelog.key_of(kind, *parts, station=station) for kind, parts, station in (one, other)]
    assert (made[0] == made[1]) == (one == other)
    kind, parts, station = one
    assert changelog.read_key(made[0], len(parts), station is not None) == (kind, parts, station)


@pytest.mark.parametrize("word", ["", "a|b"])
def test_a_word_that_would_blur_a_key_is_refused(word: str) -> None:
    for kind, part in ((word, "0"), ("pending", word)):
        with pytest.raises(ValueError, match="history key"):
            changelog.key_of(kind, part, station="a")
    with pytest.raises(ValueError, match="history key"):
        changelog.read_key(b"cell|7", 1)


def test_every_kind_of_one_station_has_a_key_of_its_own_whatever_the_station_is_called() -> None:
    keys = [
        key
        for name in ("cursor", "a", "a|0", "0|a", "cell|0")
        for key in (
            ring.cell_key(name, 0, CONTRACT.ring_cells),
            BOOK.pending_key(name, "champion", 0),
            BOOK.pending_key(name, "challenger", 0),
            BOOK.calibration_key(name, "champion"),
            BOOK.calibration_key(name, "challenger"),
        )
    ] + [ring.cursor_key(0)]
    assert len(set(keys)) == len(keys)


def test_a_kind_that_nobody_here_knows_is_carried_by_the_schema_and_left_alone() -> None:
    """A stage to come writes kinds and payloads of its own without another schema."""
    encode = Encoder(CONTRACT.schemas["history"], 9)
    decode = Decoder({"9": CONTRACT.schemas["history"]}, CONTRACT.schemas["history"])
    record = changelog.change_record("detect.drift", CONTRACT.key, "boston", payload=b"\x01")
    assert decode(encode(record)) == record and changelog.kind_of(record) == "detect.drift"
    restoration = Restoration(CONTRACT, 0, [LedgerRecords(CONTRACT)])
    restoration.take(decode(encode(record)))
    assert restoration.states == {}


def before() -> tuple[list[dict[str, Any]], Decoder]:
    """What the commit before wrote into the history, and a decoder as the worker gets it once that has been applied."""
    applied = json.loads((BEFORE / "state/default/applied-weather.json").read_text(encoding="utf-8"))
    records = json.loads((BEFORE / "topics/history.json").read_text(encoding="utf-8"))
    return records, Decoder(
        applied["tables"]["history"] | {"99": CONTRACT.schemas["history"]}, CONTRACT.schemas["history"]
    )


def told(states: dict[str, StationState]) -> str:
    """What the states hold, as text (NaN equals NaN). Doubles that went through a model stand as the golden files have
    them, and promises within what a target can be, which that commit did not know yet.
    """

    def promise(pending: Pending) -> Pending:
        levels = np.array(pending.levels).reshape(1, len(CONTRACT.targets), -1)
        whole = pending._replace(levels=bounds_of(CONTRACT).clamp(levels).ravel().tolist())
        rounded = {n: golden_files.rounded(getattr(whole, n), DIGITS) for n in golden_forecasts.PENDING_DOUBLES}
        return whole._replace(**rounded)

    found = []
    for station, state in sorted(states.items()):
        for arm, ledger in sorted((LEDGERS.of(state) or {}).items()):
            newest, issued, due, waiting, pendings, corrections = ledger.remembered()
            promises = [(hour, promise(pending)) for hour, pending in pendings]
            ratios = golden_files.rounded(dict(corrections), DIGITS)
            found.append((station, arm, newest, issued, due, waiting, promises, ratios))
        found.append((station, sorted(state.cells.items())))
    return repr(found)


def test_a_history_of_the_commit_before_is_restored_to_what_this_code_would_remember() -> None:
    """The same rows through this code leave the same cells, promises and corrections; the seed's station is beside."""
    records, decode = before()
    promises = 0
    for partition, states in golden_forecasts.scored().states.items():
        restoration = Restoration(CONTRACT, partition, [LedgerRecords(CONTRACT)])
        for record in records:
            if record["partition"] == partition:
                restoration.take(decode(bytes.fromhex(record["value"])))
        found = dict(restoration.states)
        seeded = found.pop("sg-s24", None)
        assert (seeded is not None) == (partition == partition_of(b"sg-s24", 4))
        assert seeded is None or len(seeded.cells) == 7
        assert told(found) == told(states)
        promises += told(found).count("Pending(")
        assert restoration.cursor == 1 + max(r["offset"] for r in features_of(partition))
    assert promises > 10


def features_of(partition: int) -> list[dict[str, Any]]:
    """The golden features of a partition, with the one behind them that is cut short."""
    rows = golden_files.read("features")["features"]
    last = rows[-1]
    return [r for r in [*rows, last | {"offset": last["offset"] + 1}] if r["partition"] == partition]


def test_neighbours_hear_of_a_station_whose_cells_are_of_the_commit_before() -> None:
    records, decode = before()
    table = GlobalTable(CONTRACT, 4)
    for record in records:
        table.take(record["partition"], record["offset"], decode(bytes.fromhex(record["value"])))
    assert table.stations == 4
    end = max(r["record"]["window_end"] for r in golden_files.read("features")["features"])
    assert table.as_of("sg-s24", end + 1_200_000) is not None
