"""The batch job <pipeline>-certify: does the stream say what the backfill says, and both what the oracle says?

Reads one range of the raw topic and the feature rows the stream published from it, computes the same windows as the
backfill would, lets the oracle decode and compute a seeded sample, and stores the certificate (certificate.py), passed
or failed. comparison.py and levels.py judge; this file reads and writes. Changes no topic and no table.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark import __version__ as spark_version
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro
from pyspark.sql.types import TimestampType
from spark_jobs.certify import certificate as certificate_of
from spark_jobs.certify import comparison, levels, oracle
from spark_jobs.certify.comparison import At, Compared, Scanned
from spark_jobs.certify.oracle import Record, Row
from spark_jobs.generated.contract import Contract
from spark_jobs.generated.job import JobError, Reporter, kafka_config
from spark_jobs.generated.params import CertifyParams
from spark_jobs.kit import kafka, session
from spark_jobs.kit.client import java_client
from spark_jobs.kit.frame import PREFIX_BYTES, prefix
from spark_jobs.kit.heartbeat import heartbeat
from spark_jobs.kit.schema_text import avro_of
from spark_jobs.windows import decode, meaning, plans

# Of the record's columns these are no result: which checkpoint wrote it, and when.
NOT_COMPARED = ("plan_epoch", "processing_time")


def run(contract: Contract, params: CertifyParams, reporter: Reporter) -> dict[str, float]:
    """Writes the certificate and returns the counters; `passed` is 1 or 0. What it is called lies in
    `runs/<submission>`, see certificate.note.

    Raises JobError config_invalid for a range in which nothing can be compared.
    """
    settings = dict(session.BATCH_CONF) | {"spark.sql.shuffle.partitions": str(params.shuffle_partitions)}
    spark = session.configure(SparkSession.builder, session.APP_CONF, settings)
    try:
        with heartbeat(spark, reporter):
            made = certify(spark, contract, params)
    finally:
        spark.stop()
    name = certificate_of.store(params.certificates_path, made)
    certificate_of.note(params.certificates_path, params.submission, name)
    counts = made["counts"]
    counters = {key: float(value) for key, value in counts.items() if isinstance(value, int)}
    reporter.progress(counters, message=f"{made['verdict']}: certificate {name}")
    return counters | {"passed": float(made["verdict"] == certificate_of.PASSED)}


@dataclass(frozen=True)
class Edges:
    """Where windows cannot be judged, by raw partition: those that begin before `whole_from_ms`, because the range may
    hold only a part of them, and those whose last raw offset is at most `expired` in each partition they have records
    in, because retention may have taken the stream's row.
    """

    whole_from_ms: Mapping[int, int]
    expired: Mapping[int, int]


def certify(spark: SparkSession, contract: Contract, params: CertifyParams) -> dict[str, Any]:
    """The certificate of the range, see certificate.py. Edges: offsets start inclusive, end exclusive."""
    client = java_client(kafka_config(params.kafka))
    first, last = (offsets_of(text, params.raw_topic) for text in (params.starting_offsets, params.ending_offsets))
    nothing = all(last[p] <= first.get(p, 0) for p in last)
    if nothing:
        raise JobError("config_invalid", nothing_streamed(params, "it holds no records there"))
    raw = kafka.read_range(spark, client, params.raw_topic, params.starting_offsets, params.ending_offsets)
    published = kafka.read_range(spark, client, params.features_topic, "earliest", "latest")
    schemas = {int(schema_id): schema for schema_id, schema in params.raw_schemas.items()}
    features_schemas = {int(schema_id): schema for schema_id, schema in params.features_schemas.items()}

    rows, unreadable = stream_rows(published, contract, features_schemas)
    rows = rows.persist()
    edges = Edges(complete_from(raw, first, contract), expired_up_to(rows, published, contract))
    span = F.expr(plans.in_span("window_end", params.from_ms, params.to_ms))
    stream = judged(
        last_versions(rows.where(before(last, contract)), contract).where(span), edges, contract, params.seed
    )
    observations, _ = decode.decode(raw, contract, schemas)
    batch = judged(plans.in_table(observations, contract, params), edges, contract, params.seed)
    stream, batch = stream.persist(), batch.persist()

    keys = stream.select("rank").unionByName(batch.select("rank")).distinct()
    windows, streamed = keys.count(), stream.count()
    if windows == 0:
        raise JobError("config_invalid", nothing_streamed(params, "no whole window lies in it"))
    if streamed == 0:
        raise JobError("config_invalid", nothing_streamed(params, f'"{params.features_topic}" holds no row of it'))
    lowest = [row["rank"] for row in keys.orderBy("rank").limit(params.sample).collect()]
    limit = None if windows <= params.sample else lowest[-1]

    def chosen(at: At, partition: int) -> bool:
        return (
            (params.from_ms is None or at[1] >= params.from_ms)
            and (params.to_ms is None or at[1] < params.to_ms)
            and at[1] - contract.window_ms >= edges.whole_from_ms.get(partition, -(2**62))
            and (limit is None or comparison.rank(params.seed, at) <= limit)
        )

    scanned = comparison.scan(arrivals(raw), contract, schemas, chosen)
    sampled = [side if limit is None else side.where(F.col("rank") <= limit) for side in (stream, batch)]
    from_stream, from_batch = (collected(side, contract) for side in sampled)

    def expired(row: Row) -> bool:
        if contract.by is None:
            return int(row["revision"]) <= edges.expired.get(int(row["raw_partition"]), -1)
        return all(last <= edges.expired.get(partition, -1) for partition, _, last in row["raw_ranges"])

    compared = comparison.compare(from_stream, from_batch, scanned, expired, contract)
    return certificate(contract, params, scanned, compared, windows, unreadable, (first, last))


def certificate(
    contract: Contract,
    params: CertifyParams,
    scanned: Scanned,
    compared: Compared,
    windows: int,
    unreadable: int,
    offsets: tuple[Mapping[int, int], Mapping[int, int]],
) -> dict[str, Any]:
    """All that was found, as the certificate says it."""
    written = {int(schema_id): schema for schema_id, schema in params.writer_schemas.items()}
    reasons = unit_reasons(contract, scanned, written)
    notes: list[str] = []
    for change in levels.changes(scanned.series, contract):
        unit = contract.field(change.field).unit
        said = change.describe(unit)
        # Where other units are known and none explains a jump, it is the sensors' or the provider's, not a unit.
        (reasons if change.unit or change.out_of_range or not levels.has_others(unit) else notes).append(said)
    for name, share in levels.outside(scanned.series, contract).items():
        field = contract.field(name)
        reasons.append(f"{share:.0%} of the values of {name} lie outside {list(field.range or ())} {field.unit}")
    if unreadable:
        reasons.append(f"{unreadable} records of the feature topic cannot be read by the contract's schemas")
    if compared.repeated and contract.duplicates == "source":
        reasons.append(
            f"{compared.repeated} times in the sampled windows an observation repeats a station and time; "
            "the contract promises that sources send each once"
        )
    if compared.equal == 0:
        reasons.append("no sampled window is the same on all sides: there is nothing to vouch for")
    for side, count in compared.by_side.items():
        reasons.append(f"{count} of {compared.windows} windows in the {side} differ from the oracle")
    from_ms, to_ms = params.covers_from_ms, params.covers_to_ms
    if from_ms is None or to_ms is None:
        assert scanned.first_ms is not None and scanned.last_ms is not None
        from_ms, to_ms = scanned.first_ms, scanned.last_ms + contract.window_ms
        from_ms = from_ms if params.from_ms is None else max(from_ms, params.from_ms)
        to_ms = to_ms if params.to_ms is None else min(to_ms, params.to_ms)
    start, end = offsets
    return {
        "kind": "millrace certificate 1",
        "pipeline": contract.pipeline,
        "verdict": certificate_of.FAILED if reasons else certificate_of.PASSED,
        "reasons": reasons,
        "notes": notes,
        "first_differences": compared.first,
        "contract_fingerprint": contract.fingerprint,
        "code_sha256": meaning.code_sha256(),
        "engines": {"spark": spark_version, "python": platform.python_version()},
        "range": {
            "topic": params.raw_topic.removeprefix(f"{params.namespace}-") if params.namespace else params.raw_topic,
            "offsets": {str(p): [start.get(p, 0), end[p]] for p in sorted(end)},
            "from_ms": from_ms,
            "to_ms": to_ms,
            "file": params.file_name,
            "file_sha256": params.file_sha256,
        },
        "schemas": [
            {
                "id": schema_id,
                "records": seen.records,
                "first": {"partition": seen.partition, "offset": seen.offset},
                "known": schema_id in written,
            }
            for schema_id, seen in sorted(scanned.schemas.items())
        ],
        "sample": {"seed": params.seed, "most": params.sample},
        "exact": "counts, offsets, times, min, max",
        "tolerance": "1e-9 * max(1, |b|) otherwise",
        "counts": {
            "records": scanned.records,
            "refused": scanned.refused,
            "late_records": len(scanned.late),
            "windows": windows,
            "sampled": compared.windows,
            "equal": compared.equal,
            "late": compared.late,
            "different": compared.different,
            "repeated": compared.repeated,
        },
    }


def unit_reasons(contract: Contract, scanned: Scanned, written: Mapping[int, str]) -> list[str]:
    """A sentence for each field that a writer schema of the range has in another unit than the contract."""
    found = []
    for schema_id, seen in sorted(scanned.schemas.items()):
        if schema_id not in written:
            continue
        fields = {f["name"]: f for f in json.loads(avro_of(written[schema_id]))["fields"]}
        for field in contract.fields:
            unit = fields.get(field.name, {}).get("unit", field.unit)
            if unit != field.unit:
                found.append(
                    f"schema {schema_id} writes {field.name} in {unit}, the contract has {field.unit}: "
                    f"{seen.records} records from partition {seen.partition}, offset {seen.offset} on"
                )
    return found


def nothing_streamed(params: CertifyParams, why: str) -> str:
    return (
        f'Cannot certify "{params.raw_topic}": expected a range that was streamed, {why}; '
        "submit the features job and replay into the topic, choose other --from and --to, or take --file"
    )


def offsets_of(text: str, topic: str) -> dict[int, int]:
    return {int(partition): int(offset) for partition, offset in json.loads(text)[topic].items()}


def stream_rows(published: DataFrame, contract: Contract, schemas: Mapping[int, str]) -> tuple[DataFrame, int]:
    """(every version of every row with its place in the topic, number of records that cannot be read)."""
    body = F.substring("value", PREFIX_BYTES + 1, 2_147_483_647)
    head = F.substring("value", 1, PREFIX_BYTES)
    names = [field["name"] for field in json.loads(contract.schemas["features"])["fields"]]
    parts = []
    known = F.lit(False)
    for schema_id, schema in sorted(schemas.items()):
        mine = head == F.lit(prefix(schema_id))
        known = known | F.coalesce(mine, F.lit(False))
        there = {field["name"] for field in json.loads(schema)["fields"]}
        opened = published.where(mine).select("partition", "offset", from_avro(body, schema).alias("row"))
        columns = [(F.col(f"row.{n}") if n in there else F.lit(None)).alias(n) for n in names]
        parts.append(opened.select(F.col("partition").alias("at"), *columns))
    rows = parts[0]
    for part in parts[1:]:
        rows = rows.unionByName(part)
    return rows, published.where(~known).count()


def last_versions(rows: DataFrame, contract: Contract) -> DataFrame:
    """Of each window the row of the highest version, (plan_epoch, revision)."""
    version = F.struct("plan_epoch", "revision")
    last = rows.groupBy(contract.entity_key, "window_end").agg(F.max_by(F.struct(*rows.columns), version).alias("last"))
    return last.select("last.*")


def ranges(contract: Contract) -> Column:
    """Where a row's raw records lie: those of a key in one partition, of which the revision is the last offset."""
    if contract.by is not None:
        return F.col("raw_ranges")
    own = (F.col("raw_partition").alias("partition"), "first_offset", F.col("revision").alias("last_offset"))
    return F.array(F.struct(*own))


def before(ends: Mapping[int, int], contract: Contract) -> Column:
    """Rows whose raw records all lie in the range. What the stream read since is a later version."""
    return F.forall(ranges(contract), lambda r: r["last_offset"] < by_partition(r["partition"], ends, -1))


def judged(rows: DataFrame, edges: Edges, contract: Contract, seed: int) -> DataFrame:
    """The rows that can be judged, with their rank."""
    start = F.unix_millis("window_start")
    whole = F.forall(ranges(contract), lambda r: start >= by_partition(r["partition"], edges.whole_from_ms, -(2**62)))
    kept = F.exists(ranges(contract), lambda r: r["last_offset"] > by_partition(r["partition"], edges.expired, -1))
    return rows.where(whole & kept).withColumn("rank", rank(seed, contract))


def rank(seed: int, contract: Contract) -> Column:
    """comparison.rank() as a column."""
    parts = [F.lit(str(seed)), F.col(contract.entity_key), F.unix_millis("window_end").cast("string")]
    return F.substring(F.sha2(F.concat_ws("|", *parts).cast("binary"), 256), 1, 16)


def by_partition(which: Column, values: Mapping[int, int], otherwise: int) -> Column:
    column: Column = F.lit(otherwise)
    for partition, value in values.items():
        column = F.when(which == partition, F.lit(value)).otherwise(column)
    return column


def complete_from(raw: DataFrame, first: Mapping[int, int], contract: Contract) -> dict[int, int]:
    """For partitions that do not begin with their first record: what lies before may reach up to the clock there and
    the lead a station may have. A group's records lie in any partition, so the latest of these edges is that of all.
    """
    cut = [partition for partition, offset in first.items() if offset > 0]
    if not cut:
        return {}
    oldest = with_millis(raw).where(F.col("partition").isin(cut)).groupBy("partition")
    found = oldest.agg(F.min_by(F.struct(*ARRIVAL), "offset").alias("first")).collect()
    edges = {}
    for row in found:
        record = record_of(row["first"])
        at_ms = oracle.clock_ms(record, contract)
        edges[record.partition] = (record.append_ms if at_ms is None else at_ms) + contract.lead_ms
    return edges if contract.by is None else dict.fromkeys(range(contract.raw_partitions), max(edges.values()))


def expired_up_to(rows: DataFrame, published: DataFrame, contract: Contract) -> dict[int, int]:
    """By raw partition, the last raw offset whose row the feature topic may have lost to its retention.

    A micro-batch of which some rows are gone is taken as gone: everything above its offsets is there whole. Where a
    group's records lie in any partition, one of which that batch shows nothing proves nothing.
    """
    lost = [
        row["partition"]
        for row in published.groupBy("partition").agg(F.min("offset").alias("first")).collect()
        if row["first"] > 0
    ]
    if not lost:
        return {}
    oldest = rows.where(F.col("at").isin(lost)).groupBy("at").agg(F.min("processing_time").alias("oldest"))
    gone = rows.join(oldest, "at").where(F.col("processing_time") == F.col("oldest"))
    each = gone.select(F.explode(ranges(contract)).alias("range")).groupBy("range.partition")
    found = {row["partition"]: row["last"] for row in each.agg(F.max("range.last_offset").alias("last")).collect()}
    return found if contract.by is None else dict.fromkeys(range(contract.raw_partitions), 2**62) | found


ARRIVAL = ("partition", "offset", "timestamp_ms", "key", "value", "headers")


def with_millis(raw: DataFrame) -> DataFrame:
    return raw.withColumn("timestamp_ms", F.unix_millis("timestamp"))


def arrivals(raw: DataFrame) -> Iterator[Record]:
    """The records in order of arrival, a few thousand at a time in this process."""
    ordered = with_millis(raw).orderBy("timestamp_ms", "partition", "offset").select(*ARRIVAL)
    return (record_of(row) for row in ordered.toLocalIterator(prefetchPartitions=True))


def record_of(row: Any) -> Record:
    headers = tuple((h["key"], None if h["value"] is None else bytes(h["value"])) for h in row["headers"] or ())
    key, value = row["key"], row["value"]
    return Record(
        int(row["partition"]),
        int(row["offset"]),
        int(row["timestamp_ms"]),
        None if key is None else bytes(key),
        None if value is None else bytes(value),
        headers,
    )


def collected(rows: DataFrame, contract: Contract) -> dict[At, Row]:
    """Rows by (key, window_end), times as epoch milliseconds."""
    kinds = {f.name: f.dataType for f in rows.schema.fields}
    names = [f["name"] for f in json.loads(contract.schemas["features"])["fields"] if f["name"] not in NOT_COMPARED]
    columns = [F.unix_millis(n).alias(n) if isinstance(kinds[n], TimestampType) else F.col(n) for n in names]
    found = (row.asDict() for row in rows.select(*columns).collect())
    return {(row[contract.entity_key], row["window_end"]): row for row in found}
