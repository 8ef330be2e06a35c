"""The form of a record of weather-history: its kind by name, its key, and the fields that every kind has.

Every stage that keeps state writes records of kinds of its own, with a payload of its own; the schema knows none of
them. Knows no kind's meaning and does no input or output.

Key: `kind|part|…|station`, with as many parts as the kind has, or `kind|part` without a station. Kinds and parts hold
no `|`, so whatever a station is called, its name is all that follows the last part: two keys are equal only when kind,
parts and station are. The station says which partition a record lies in, the one of its feature rows, and never the
key: whoever produces a record names the partition.

Before kinds had names, an enumeration said which of four a record is, and keys could meet (`station|7`, `cursor|0`).
Such records are read as what they are; a later record of the same station takes their place in memory, not in the
topic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

SEPARATOR = "|"
# What the field `kind` says of a record whose kind has a name.
NAMED = "named"
# The only arm there was before records named one.
FIRST_ARM = "champion"


class Key(NamedTuple):
    kind: str
    parts: tuple[str, ...]
    station: str | None


def key_of(kind: str, *parts: str | int, station: str | None = None) -> bytes:
    """The Kafka key of a record. Errors: ValueError for a kind or part that is empty or holds the separator."""
    words = [kind, *map(str, parts)]
    for word in words:
        if not word or SEPARATOR in word:
            raise ValueError(f'"{word}" cannot be part of a history key: expected a word without "{SEPARATOR}"')
    return SEPARATOR.join(words if station is None else [*words, station]).encode()


def read_key(key: bytes, parts: int, of_station: bool = True) -> Key:
    """The same taken apart, for a kind with so many parts; what a record without a value (a tombstone) forgets.

    Errors: ValueError for a key of another form.
    """
    words = key.decode().split(SEPARATOR, parts + 1 if of_station else -1)
    if len(words) != parts + 1 + of_station:
        raise ValueError(f'history key "{key.decode()}": expected {parts} parts between kind and station')
    return Key(words[0], tuple(words[1 : parts + 1]), words[-1] if of_station else None)


def kind_of_key(key: bytes) -> str:
    """What a key of this form begins with; of another form, whatever that is."""
    return key.split(SEPARATOR.encode(), 1)[0].decode("utf-8", "replace")


def change_record(kind: str, key: str, station: str | None, **fields: Any) -> dict[str, Any]:
    """A record of this kind; `key` is the contract's key column, `fields` what differs from nothing."""
    return {
        "kind": NAMED,
        key: station,
        "cell": 0,
        "window_end": None,
        "plan_epoch": 0,
        "revision": 0,
        "feature_partition": 0,
        "feature_offset": -1,
        "next_offset": None,
        "versions": [],
        "values": [],
        "payload": None,
        "kind_name": kind,
        "arm": None,
        **fields,
    }


def kind_of(record: Mapping[str, Any]) -> str:
    name: str | None = record["kind_name"]
    return record["kind"] if name is None else name


def arm_of(record: Mapping[str, Any]) -> str:
    """Whose promise or correction a record holds."""
    arm: str | None = record["arm"]
    return FIRST_ARM if arm is None else arm
