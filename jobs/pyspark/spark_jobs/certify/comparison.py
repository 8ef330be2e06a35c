"""Row by row: what the stream published, what the backfill computes, and what the oracle says of the same raw records.

The pure heart of the certificate. certify.py hands in rows and records; this file holds no Spark and reads nothing.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from spark_jobs.certify import oracle
from spark_jobs.certify.oracle import Observation, Record, Row
from spark_jobs.generated.contract import Contract

At = tuple[str, int]  # (whose it is: a key, or a value that windows are by; window_end)

# Of a window's late records every choice of as many as the stream lacks is tried; a window with more is a difference.
LATE_MOST = 12
# Differing windows that a certificate shows, and columns of each.
SHOWN_WINDOWS = 5
SHOWN_COLUMNS = 4


def rank(seed: int, at: At) -> str:
    """Where a window stands in the seeded order: the sample is the windows of the lowest ranks.

    certify.rank() is the same as a column, so that every side is asked for the same windows and an extra row on any
    side is as likely to be met as a missing one.
    """
    return hashlib.sha256(f"{seed}|{at[0]}|{at[1]}".encode()).hexdigest()[:16]


@dataclass
class Written:
    """Records of one schema id: how many, and where the first in order of arrival lies."""

    records: int
    partition: int
    offset: int


@dataclass
class Scanned:
    """What the oracle's own pass over the raw records found.

    `held` has the observations of each chosen window in order of arrival; `late` the (partition, offset) of those that
    came later than the lateness; `elsewhere` how many repeats an observation of another group has in a chosen window,
    which they are left out of; `series` what levels.py looks at: per station, one after the other, arrival number,
    event time and the values in the order of contract.measured, as written; eight bytes each, for all records.
    """

    records: int = 0
    refused: int = 0
    schemas: dict[int, Written] = field(default_factory=dict)
    held: dict[At, list[Observation]] = field(default_factory=dict)
    late: set[tuple[int, int]] = field(default_factory=set)
    elsewhere: dict[At, int] = field(default_factory=dict)
    series: dict[str, array[float]] = field(default_factory=dict)
    first_ms: int | None = None
    last_ms: int | None = None


def scan(
    records: Iterable[Record], contract: Contract, schemas: dict[int, str], chosen: Callable[[At, int], bool]
) -> Scanned:
    """One pass over the records in order of arrival. `chosen` takes a window and the raw partition of a record in it.

    Late is what lies more than the lateness before the newest time that had come or that the source's own clock
    shows: no later record is promised to count (design: late data).
    """
    read = oracle.reader(contract, schemas)
    names = [f.name for f in contract.measured]
    found = Scanned()
    newest = -(2**62)
    # Where windows are by an attribute a repeat may say another value: whose the first one was, by key and time.
    firsts: dict[tuple[str, int], str] = {}
    for record in records:
        found.records += 1
        if record.value is not None and len(record.value) >= 5 and record.value[:1] == b"\x00":
            schema_id = int.from_bytes(record.value[1:5], "big")
            found.schemas.setdefault(schema_id, Written(0, record.partition, record.offset)).records += 1
        o = read(record)
        if o is None:
            found.refused += 1
            continue
        time = o["event_time"]
        found.first_ms = time if found.first_ms is None else min(found.first_ms, time)
        found.last_ms = time if found.last_ms is None else max(found.last_ms, time)
        clock = oracle.clock_ms(record, contract)
        # What leads its clock has come, but the others are not late for it.
        newest = max(newest, min(time, record.append_ms if clock is None else clock))
        if time < max(newest, newest if clock is None else clock) - contract.lateness_ms:
            found.late.add((record.partition, record.offset))
        values = [math.nan if o[name] is None else o[name] for name in names]
        found.series.setdefault(o[contract.key], array("d")).extend((found.records, time, *values))
        whose = oracle.whose(o, contract)
        is_first = contract.by is None or firsts.setdefault((o[contract.key], time), whose) == whose
        for end in oracle.ends(time, contract):
            at = (whose, end)
            if not chosen(at, record.partition):
                continue
            if not is_first:
                found.elsewhere[at] = found.elsewhere.get(at, 0) + 1
            else:
                found.held.setdefault(at, []).append(o)
    return found


@dataclass
class Compared:
    """Counts of windows, and the first that differ. `late`: the stream lacks late records there and nothing else."""

    windows: int = 0
    equal: int = 0
    late: int = 0
    different: int = 0
    repeated: int = 0
    by_side: dict[str, int] = field(default_factory=dict)
    first: list[dict[str, Any]] = field(default_factory=list)


def compare(
    stream: dict[At, Row], batch: dict[At, Row], scanned: Scanned, expired: Callable[[Row], bool], contract: Contract
) -> Compared:
    """Judges every window that any of the three sides has. `expired` says which rows retention may have removed.

    The oracle always takes the lowest offset of records with the same station and time: a topic that promises no
    repeats and holds some is a difference too, with both counts.
    """
    found = Compared()
    for at in sorted(stream.keys() | batch.keys() | scanned.held.keys(), key=lambda at: (at[1], at[0])):
        arrived = scanned.held.get(at, [])
        inside = oracle.first_of_each_time(arrived, contract.key)
        wanted = oracle.published(at, inside, contract) if inside else None
        rows = {"stream": stream.get(at), "batch": batch.get(at), "oracle": wanted}
        if wanted is None and rows["stream"] is None and rows["batch"] is None:
            continue
        if wanted is not None and rows["stream"] is None and rows["batch"] is None and expired(wanted):
            continue
        found.windows += 1
        found.repeated += len(arrived) - len(inside) + scanned.elsewhere.get(at, 0)
        wrong = {side: columns for side in ("stream", "batch") if (columns := differing(rows[side], wanted))}
        if "stream" not in wrong and (columns := differing(rows["stream"], rows["batch"])):
            wrong["stream"] = columns
        if list(wrong) == ["stream"] and only_late(rows["stream"], inside, at, scanned.late, contract):
            found.late += 1
            continue
        if not wrong:
            found.equal += 1
            continue
        found.different += 1
        for side in wrong:
            found.by_side[side] = found.by_side.get(side, 0) + 1
        if len(found.first) < SHOWN_WINDOWS:
            found.first.append(shown(at, rows, wrong, contract))
    return found


def differing(got: Row | None, wanted: Row | None) -> list[str]:
    """Columns in which a row is not the wanted one; `row` where one of them is not there."""
    if got is None or wanted is None:
        return [] if got is wanted else ["row"]
    return [name for name in wanted if name in got and not oracle.same(name, got[name], wanted[name])] + [
        name for name in wanted if name not in got
    ]


def only_late(
    row: Row | None, inside: list[Observation], at: At, late: set[tuple[int, int]], contract: Contract
) -> bool:
    """Whether the stream's row is exactly the window without some of its late records, and nothing else is wrong."""
    came_late = [o for o in inside if (o["raw_partition"], o["raw_offset"]) in late]
    lacking = len(came_late) if row is None else len(inside) - int(row["measurement_count"])
    if not came_late or not 0 < lacking <= len(came_late) <= LATE_MOST:
        return False
    for dropped in combinations(came_late, lacking):
        kept = [o for o in inside if o not in dropped]
        wanted = oracle.published(at, kept, contract) if kept else None
        if not differing(row, wanted):
            return True
    return False


def shown(at: At, rows: dict[str, Row | None], wrong: dict[str, list[str]], contract: Contract) -> dict[str, Any]:
    """A differing window for a person: the first columns that differ, with what each side has there."""
    names = list(dict.fromkeys(name for columns in wrong.values() for name in columns))
    columns = {}
    for name in names[:SHOWN_COLUMNS]:
        columns[name] = {
            side: (row is not None) if name == "row" else None if row is None else row.get(name)
            for side, row in rows.items()
        }
    return {contract.entity_key: at[0], "window_end": at[1], "columns": columns, "columns_wrong": len(names)}
