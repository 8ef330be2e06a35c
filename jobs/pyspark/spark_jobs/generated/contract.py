# Copied from ts/codegen/static/contract.py. Do not edit: npm run generate.
"""The shape of a contract as both engines see it: constants only, filled in by the generated module beside this one.

Copied from ts/codegen/static by the generator. Knows no pipeline by name and does no input or output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

HOUR_MS = 3_600_000


def horizon_name(hours: float) -> str:
    """A horizon as names have it, the same as horizonName in ts/pipelines/horizon.ts: 6h, or 90m where it is no whole
    number of hours.
    """
    return f"{hours:g}h" if hours == int(hours) else f"{hours * 60:g}m"


@dataclass(frozen=True)
class Attribute:
    """What is accepted in a field of that role. `kind`: string, enum, boolean, integer or date; `required`: whether a
    record without an accepted value is refused as a whole; `symbols` of an enum; `range` of an integer, and of a date in
    days since 1970-01-01, inclusive; `max_length` of a string in code points; `pattern`, which all of a string matches.
    """

    kind: str
    required: bool
    symbols: tuple[str, ...] | None
    range: tuple[int, int] | None
    max_length: int | None
    pattern: str | None


@dataclass(frozen=True)
class Field:
    """One field of the observation. `role`: key, event_time, measurement, circular or attribute; `range`: what a sensor
    may say, inclusive both ends; `support`: what the quantity can be, inclusive, None at an end that is open;
    `attribute`: what is accepted in one, None in any other field.
    """

    name: str
    role: str
    quantity: str | None
    unit: str | None
    range: tuple[float, float] | None
    support: tuple[float | None, float | None] | None
    attribute: Attribute | None = None

    @property
    def bounds(self) -> tuple[float, float]:
        """Where forecasts stay and truths are judged, inclusive: the ends of the support, those of the range where it
        is open; infinite without either.
        """
        (low, high), (least, most) = self.support or (None, None), self.range or (-math.inf, math.inf)
        return least if low is None else low, most if high is None else high


@dataclass(frozen=True)
class Feature:
    """One column of a feature record: `column` is `<field>_<kind>`, `unit` the contract's word (degC/h for a rate)."""

    column: str
    field: str
    kind: str
    unit: str


@dataclass(frozen=True)
class Station:
    """Where a station stands: degrees north, degrees east, metres above sea level; None where unknown."""

    name: str
    latitude: float | None
    longitude: float | None
    elevation_m: float | None


@dataclass(frozen=True)
class Neighbour:
    """Another station, `distance_km` away in one of the contract's sectors, `rank`-th nearest there (from 1)."""

    station: str
    sector: str
    rank: int
    distance_km: float


@dataclass(frozen=True)
class Derived:
    """A column of the heads: `function` is `<module>.<name>` in ray_jobs/model/derived, `inputs` its arguments in order,
    each a column of `history_values` or one of latitude, longitude, elevation_m and t_ms.
    """

    column: str
    function: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """The largest credible change of the field's window mean within `within_ms`, in the field's unit."""

    field: str
    change: float
    within_ms: int


@dataclass(frozen=True)
class Stream:
    """What a contract says of the observations of one stream, under the same names; `observation` is their schema."""

    key: str
    event_time: str
    fields: tuple[Field, ...]
    duplicates: str
    lateness_ms: int
    lead_ms: int
    format: str
    observation: str


@dataclass(frozen=True)
class Contract:
    """Everything a job knows about its pipeline.

    Units: times, spans and horizons in milliseconds, `lags` and `neighbour_lags` in steps of `step_ms`.
    `parts` are those the pipeline has; what belongs to another one is empty here: 0, no entry, no schema.
    `entity` is what one key, or with `by` one of its values, names, in the domain's word.
    `fingerprint` covers the whole contract, `plan_hash` only what the streaming state depends on.
    `schemas` holds Avro schemas as JSON text: observation, rejects, cursors and progress of every pipeline; features,
    history, predictions, verifications, anomalies and model_events with the parts that bring them.
    `neighbours` has the stations with a place on the map: sector by sector in the order of `sectors`, nearest first, at
    most `per_sector` in each; `sectors` is empty in a pipeline without neighbours.
    `ring_cells` is depth_ms // cell_ms: the number of cells a station's ring has.
    `quantiles` are what the model's heads learn, `bands` the shares of outcomes that the central intervals are meant to
    hold, narrowest first, `levels` their ends and the median, ascending: what a prediction carries.
    `stream` is the one whose observations this describes, in `key`, `event_time`, `fields`, `duplicates`, `lateness_ms`,
    `lead_ms`, `format` (avro, json or protobuf) and their schema; as generated the one that the windows read.
    `by` is the attribute of the windows' stream that windows are grouped by, None where that is the key; `raw_partitions`
    then says how many partitions the stream has, in any of which records of one group may lie.
    `datums` says of a target where it can come to stand when a sensor's datum changes, inclusive, in its unit; a target
    that is not there, anywhere.
    """

    pipeline: str
    parts: tuple[str, ...]
    entity: str
    fingerprint: str
    plan_hash: str
    key: str
    event_time: str
    fields: tuple[Field, ...]
    duplicates: str
    window_ms: int
    slide_ms: int
    lateness_ms: int
    lead_ms: int
    features: tuple[Feature, ...]
    cell_ms: int
    step_ms: int
    lags: tuple[int, ...]
    depth_ms: int
    ring_cells: int
    history_values: tuple[str, ...]
    targets: tuple[str, ...]
    horizons_ms: tuple[int, ...]
    quantiles: tuple[float, ...]
    sectors: tuple[str, ...]
    per_sector: int
    neighbour_lags: tuple[int, ...]
    derived: tuple[Derived, ...]
    bands: tuple[float, ...]
    levels: tuple[float, ...]
    steps: tuple[Step, ...]
    datums: dict[str, tuple[float, float]]
    stations: dict[str, Station]
    neighbours: dict[str, tuple[Neighbour, ...]]
    schemas: dict[str, str]
    format: str = "avro"
    stream: str = "raw"
    other_streams: dict[str, Stream] = field(default_factory=dict)
    by: str | None = None
    raw_partitions: int = 0

    @property
    def entity_key(self) -> str:
        """The field whose value names what a window, and all that comes of windows, is of."""
        return self.by or self.key

    def in_stream(self, name: str) -> Contract:
        """The same contract turned to another stream. Raises KeyError for one the pipeline does not have."""
        if name == self.stream:
            return self
        others = dict(self.other_streams)
        wanted = others.pop(name)
        own = Stream(
            self.key,
            self.event_time,
            self.fields,
            self.duplicates,
            self.lateness_ms,
            self.lead_ms,
            self.format,
            self.schemas["observation"],
        )
        return replace(
            self,
            stream=name,
            other_streams={self.stream: own} | others,
            key=wanted.key,
            event_time=wanted.event_time,
            fields=wanted.fields,
            duplicates=wanted.duplicates,
            lateness_ms=wanted.lateness_ms,
            lead_ms=wanted.lead_ms,
            format=wanted.format,
            schemas=self.schemas | {"observation": wanted.observation},
        )

    @property
    def further_keys(self) -> tuple[str, ...]:
        """What a reject may be named by beside this stream's key: the other streams' keys, and what windows are by."""
        named = [*(s.key for s in self.other_streams.values()), *((self.by,) if self.by else ())]
        return tuple(name for name in dict.fromkeys(named) if name != self.key)

    def field(self, name: str) -> Field:
        """The field of that name. Raises KeyError for a name the contract does not have."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        raise KeyError(name)

    @property
    def measured(self) -> tuple[Field, ...]:
        """The fields that carry a value: measurements and directions, in contract order."""
        return tuple(f for f in self.fields if f.role in ("measurement", "circular"))

    @property
    def attributes(self) -> tuple[tuple[str, Attribute], ...]:
        """Names and rules of the attributes, in contract order."""
        return tuple((f.name, f.attribute) for f in self.fields if f.attribute is not None)

    @property
    def horizons_h(self) -> tuple[int | float, ...]:
        """The horizons as records and reports have them: in hours, which only quarters of an hour make a fraction."""
        return tuple(h // HOUR_MS if h % HOUR_MS == 0 else h / HOUR_MS for h in self.horizons_ms)

    @property
    def judges(self) -> bool:
        """Whether rules judge windows: then every forecast carries the verdict on its window."""
        return "anomaly" in self.parts

    def datums_of(self, target: str) -> tuple[float, float]:
        """Where a target can come to stand when a sensor's datum changes, inclusive; infinite where nothing is said."""
        return self.datums.get(target, (-math.inf, math.inf))

    def target_column(self, target: str) -> str:
        """The feature column that is a target's truth: its window mean."""
        return f"{target}_mean"
