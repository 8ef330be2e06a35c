"""The history as compaction leaves it, and one run of the scorer over any number of rows. Test support only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ray_jobs.model.champion import Scores
from ray_jobs.state.changelog import kind_of_key
from ray_jobs.state.ring import CLOCK
from ray_jobs.stream.predict import Incoming, Outcome, Scorer

Key = tuple[int, bytes]


def compacted(history: Iterable[tuple[int, bytes, bytes | None]]) -> dict[Key, bytes]:
    """The last value of each key, in the order of the log, without what a tombstone forgot. Clocks are left out: when
    they are written depends on where transactions are cut.
    """
    kept: dict[Key, bytes] = {}
    for partition, key, value in history:
        kept.pop((partition, key), None)
        if value is not None and kind_of_key(key) != CLOCK:
            kept[partition, key] = value
    return kept


def scored(scorer: Scorer, rows: Sequence[Incoming], model: Scores, offsets: Sequence[int]) -> Outcome:
    """All rows, in as many transactions as their tombstones need, as one outcome."""
    out = scorer.score(rows, model, offsets)
    while out.rows < len(rows):
        more = scorer.score(rows[out.rows :], model, offsets)
        for name, value in vars(more).items():
            mine = getattr(out, name)
            setattr(out, name, mine | value if isinstance(value, dict) else mine + value)
    return out
