"""Windows by an attribute: trams report on three partitions, windows are of the lines they run on.

From the bytes of Kafka's records to the bytes of the feature topic: the stream over micro-batches with a kill between
what one wrote and its commit, the table over all records, the oracle, and the certificate that compares them.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from spark_jobs.certify import certify, comparison, oracle
from spark_jobs.certify.oracle import Record
from spark_jobs.generated.contract import Attribute, Contract, Field
from spark_jobs.generated.params import CertifyParams, KafkaAccess
from spark_jobs.kit import kafka
from spark_jobs.kit.frame import prefix
from spark_jobs.windows import decode, features, plans, windows
from tests import streams
from tests.contracts import TRAMS
from tests.test_decode import RAW

T = streams.START_MS
MINUTE = 60_000
SCHEMAS = {7: TRAMS.schemas["observation"]}
WRITER = fastavro.parse_schema(json.loads(oracle.plain(SCHEMAS[7])))
FEATURES_ID, NOW_MS = 9, 1_800_000_000_123
READER = fastavro.parse_schema(json.loads(oracle.plain(TRAMS.schemas["features"])))
PARTITION = {"t1": 0, "t2": 1, "t3": 2, "t4": 0}


class Topic:
    """Records of the raw topic as they come, in micro-batches; each has the next offset of its tram's partition."""

    def __init__(self) -> None:
        self.batches: list[list[Record]] = [[]]
        self._ends = {0: 100, 1: 0, 2: 5_000}

    def report(self, tram: str, second: int, line: str, delay: float | None = 30.0, speed: float = 8.0) -> Record:
        out = io.BytesIO()
        time_ms = T + second * 1_000
        said = {"tram": tram, "reported_at": time_ms, "line": line, "platform": 4, "delay": delay, "speed": speed}
        fastavro.schemaless_writer(out, WRITER, said)
        partition = PARTITION[tram]
        clock = (("clock", str(time_ms).encode()),)
        # No source's clock is believed that leads the broker's by far.
        append_ms = max([time_ms, *(record.append_ms + 1 for record in self.records[-1:])])
        one = Record(partition, self._ends[partition], append_ms, tram.encode(), prefix(7) + out.getvalue(), clock)
        self._ends[partition] += 1
        self.batches[-1].append(one)
        return one

    def cut(self) -> None:
        """The next record comes in another micro-batch."""
        self.batches.append([])

    @property
    def records(self) -> list[Record]:
        return [one for batch in self.batches for one in batch]

    @property
    def ends(self) -> dict[str, int]:
        return {str(p): end for p, end in self._ends.items()}


def day() -> Topic:
    """Two trams of line 1 on partitions 0 and 1 and one of line 2, with all that goes wrong."""
    topic = Topic()
    for second in (0, 20, 40):
        topic.report("t1", second, "1", delay=second / 2)
        topic.report("t2", second + 5, "1", delay=100.0)
        topic.report("t3", second + 7, "2")
    topic.cut()
    topic.report("t2", 65, "1", delay=99_999.0)  # Out of its range: null, and the record counts.
    topic.report("t1", 62, "eleven")  # No line: the record is refused.
    topic.report("t1", 40, "1", delay=-500.0)  # A repeat.
    topic.report("t3", 47, "1", delay=-500.0)  # A repeat that says another line than the first.
    topic.report("t4", 70, "E2")
    topic.cut()
    topic.report("t1", 90, "1", delay=45.0)
    topic.report("t2", 30, "1", delay=110.0)  # Late, by less than the lateness.
    topic.report("t3", 95, "1", delay=60.0)  # Has changed its line.
    topic.cut()
    topic.report("t2", 130, "1", delay=90.0)
    topic.report("t2", 15, "2")  # Late, of another line than the tram has now.
    return topic


def frame(spark: SparkSession, records: list[Record]) -> DataFrame:
    rows = [
        ("raw", r.partition, r.offset, bytearray(r.key or b""), bytearray(r.value or b""), streams.utc(r.append_ms),
         [(name, bytearray(value or b"")) for name, value in r.headers])
        for r in records
    ]  # fmt: skip
    return spark.createDataFrame(rows, RAW)


class Killed(Exception):
    pass


def streamed(
    spark: SparkSession, topic: Topic, folder: Path, kill_at: int | None = None
) -> list[list[tuple[bytes, bytes]]]:
    """(key, value) of what each micro-batch writes, those of one that is killed and repeated twice."""
    source = folder / "in"
    source.mkdir()
    for i, records in enumerate(topic.batches):
        frame(spark, records).coalesce(1).write.parquet(str(folder / str(i)))
        written = next((folder / str(i)).glob("part-*.parquet"))
        os.utime(written, (1_000_000 + i, 1_000_000 + i))  # The source reads in order of age.
        written.rename(source / f"{i}.parquet")
    out: list[list[tuple[bytes, bytes]]] = []

    def publish(batch: DataFrame, batch_id: int) -> None:
        rows = features.stamped(features.in_order(batch, 2), NOW_MS).collect()
        out.append([(bytes(row["key"]), bytes(row["value"])) for row in rows])
        if batch_id == kill_at and len(out) == batch_id + 1:
            raise Killed("written and not committed")

    def go() -> None:
        raw = spark.readStream.schema(spark.createDataFrame([], RAW).schema).option("maxFilesPerTrigger", 1)
        observations, _ = decode.decode(raw.parquet(str(source)), TRAMS, SCHEMAS)
        schema = kafka.without_last(TRAMS.schemas["features"], plans.PROCESSING_TIME)
        rows = plans.in_stream(observations, TRAMS, 1)
        framed = kafka.framed_rows(rows, TRAMS.entity_key, schema, FEATURES_ID, "window_end")
        query = framed.writeStream.outputMode("update").foreachBatch(publish).trigger(availableNow=True)
        query.option("checkpointLocation", str(folder / "checkpoint")).start().awaitTermination()

    if kill_at is not None:
        with pytest.raises(PySparkException, match="written and not committed"):
            go()
    go()
    # A last batch without records lets go of what the watermark has passed.
    return [batch for batch in out if batch]


def rows_of(written: list[list[tuple[bytes, bytes]]]) -> Iterator[oracle.Row]:
    """What the feature topic holds of it, ranges as the oracle has them."""
    for key, value in (record for batch in written for record in batch):
        assert value[:5] == prefix(FEATURES_ID)
        body = io.BytesIO(value[5:])
        row: Any = fastavro.schemaless_reader(body, READER, None)
        assert body.read() == b"" and key == row["line"].encode()
        yield row | {"raw_ranges": [tuple(found.values()) for found in row["raw_ranges"]]}


def version(row: oracle.Row) -> tuple[str, int, int, int]:
    """What a prediction's id is made of."""
    return row["line"], row["window_end"], row["plan_epoch"], row["revision"]


def observations(topic: Topic, contract: Contract = TRAMS) -> list[oracle.Observation]:
    read = oracle.reader(contract, SCHEMAS)
    return [o for record in topic.records if (o := read(record))]


def wanted(topic: Topic) -> dict[tuple[str, int], oracle.Row]:
    return oracle.feature_rows(oracle.first_of_each_time(observations(topic), TRAMS.key), TRAMS)


def test_trams_of_several_partitions_share_the_windows_of_their_line(spark: SparkSession, tmp_path: Path) -> None:
    topic = day()
    written = streamed(spark, topic, tmp_path)
    rows = list(rows_of(written))
    last = streams.by_window(rows, TRAMS)
    assert oracle.differences(last, wanted(topic)) == []

    # The window of the first three minutes, published for what came in its last.
    whole = last["1", T + 3 * MINUTE]
    assert whole["grouped_by"] == "line"
    assert whole["measurement_count"] == 11 and whole["delay_count"] == 10
    assert (whole["delay_max"], whole["revision"]) == (110.0, 11)
    # Of t1 the refused record and the repeat lie within the range; of t3 only what it said of this line.
    assert whole["raw_ranges"] == [(0, 100, 106), (1, 0, 5), (2, 5_004, 5_004)]
    assert {row["line"] for row in rows} == {"1", "2", "E2"}

    # Each version of a row is above the one before; within a micro-batch each line's leave in order.
    for batch in written:
        ends: dict[str, int] = {}
        for row in rows_of([batch]):
            assert row["window_end"] > ends.get(row["line"], 0)
            ends[row["line"]] = row["window_end"]
    revisions: dict[tuple[str, int], int] = {}
    for row in rows:
        at = row["line"], row["window_end"]
        assert row["revision"] > revisions.get(at, 0)
        revisions[at] = row["revision"]
    assert len(rows) > len(revisions), "some rows have several versions"


def test_a_micro_batch_that_is_killed_writes_the_same_versions_again(spark: SparkSession, tmp_path: Path) -> None:
    topic = day()
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    undisturbed = streamed(spark, topic, tmp_path / "whole")
    killed = streamed(spark, topic, tmp_path / "killed", kill_at=2)
    assert len(undisturbed) == 4 and undisturbed[2]
    assert killed == [*undisturbed[:3], *undisturbed[2:]]
    versions = [version(row) for row in rows_of(undisturbed)]
    assert len(set(versions)) == len(versions)
    assert {version(row) for row in rows_of(killed)} == set(versions)


def test_a_table_holds_the_last_versions_of_the_stream(spark: SparkSession, tmp_path: Path) -> None:
    topic = day()
    found, rejects = decode.decode(frame(spark, topic.records), TRAMS, SCHEMAS)
    rows = streams.rows(plans.in_table(found, TRAMS, asked(topic)).collect(), TRAMS)
    table = streams.by_window(rows, TRAMS)
    assert oracle.differences(table, wanted(topic)) == []
    last = streams.by_window(list(rows_of(streamed(spark, topic, tmp_path))), TRAMS)
    beside = {"plan_epoch": 0, "processing_time": None}
    assert (
        oracle.differences(
            {at: row | beside for at, row in table.items()}, {at: row | beside for at, row in last.items()}
        )
        == []
    )
    refused = {(row["tram"], row["field"], row["reason"], row["line"]): row["detail"] for row in rejects.collect()}
    assert set(refused) == {("t1", None, "out_of_range", None), ("t2", "delay", "out_of_range", None)}
    assert refused["t1", None, "out_of_range", None].startswith("line: expected text like [A-Z]?[0-9]+ of at most 8")


def test_a_record_of_a_partition_that_nobody_knows_of_ends_the_query(spark: SparkSession) -> None:
    record = Topic().report("t1", 0, "1")
    found, _ = decode.decode(frame(spark, [replace(record, partition=3)]), TRAMS, SCHEMAS)
    with pytest.raises(PySparkException, match="expected 3 partitions, got a record of another"):
        plans.in_table(found, TRAMS, asked(Topic())).collect()


def test_a_whole_number_names_a_group_as_text(spark: SparkSession) -> None:
    zone = Field("zone", "attribute", None, None, None, None, Attribute("integer", True, None, (-9, 9), None, None))
    contract = replace(TRAMS, by="zone", fields=(*TRAMS.fields, zone))
    at = {"raw_partition": 0, "append_time": T, "tram": "t1", "event_time": T + 150_000}
    said = [at | {"zone": -4, "delay": 1.0, "speed": None, "raw_offset": i, "clock_ms": T} for i in (1, 2)]
    columns = "tram string, zone bigint, delay double, speed double, raw_partition int, raw_offset bigint"
    rows = [[o[name.split()[0]] for name in columns.split(", ")] for o in said]
    given = spark.createDataFrame(rows, columns).withColumns(
        {"event_time": F.timestamp_millis(F.lit(T + 150_000)), "append_time": F.timestamp_millis(F.lit(T))}
    )
    got = windows.feature_rows(windows.followed(given, contract), contract, 0, F.current_timestamp()).collect()
    by_window = streams.by_window(streams.rows(got, contract), contract)
    assert oracle.differences(by_window, oracle.feature_rows(said, contract)) == []
    assert {at[0] for at in by_window} == {"-4"}


def asked(topic: Topic, **changed: Any) -> CertifyParams:
    whole: dict[str, Any] = {
        "namespace": "",
        "job": "trams-certify",
        "submission": "test",
        "fingerprint": TRAMS.fingerprint,
        "kafka": KafkaAccess("127.0.0.1:1", {}, None),
        "progress_topic": None,
        "progress_schema_id": 1,
        "raw_topic": "raw",
        "features_topic": "features",
        "starting_offsets": json.dumps({"raw": {"0": 0, "1": 0, "2": 0}}),
        "ending_offsets": json.dumps({"raw": topic.ends}),
        "raw_schemas": {"7": SCHEMAS[7]},
        "writer_schemas": {"7": SCHEMAS[7]},
        "features_schemas": {str(FEATURES_ID): TRAMS.schemas["features"]},
        "from_ms": None,
        "to_ms": None,
        "sample": 10_000,
        "seed": 1,
        "file_name": None,
        "file_sha256": None,
        "covers_from_ms": None,
        "covers_to_ms": None,
        "certificates_path": "",
        "shuffle_partitions": 1,
    }
    return CertifyParams(**(whole | changed))


def certified(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, records: list[Record], published: DataFrame, run: Any
) -> dict[str, Any]:
    raw = frame(spark, records)
    monkeypatch.setattr(kafka, "read_range", lambda *given: raw if "raw" in given else published)
    return certify.certify(spark, TRAMS, run)


def feature_topic(spark: SparkSession, written: list[list[tuple[bytes, bytes]]], first_offset: int = 0) -> DataFrame:
    values = [value for batch in written for _, value in batch]
    rows = [(0, first_offset + i, bytearray(value)) for i, value in enumerate(values)]
    return spark.createDataFrame(rows, "partition int, offset bigint, value binary")


def test_the_certificate_passes_and_fails_where_a_line_lacks_a_tram(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = day()
    written = streamed(spark, topic, tmp_path)
    made = certified(spark, monkeypatch, topic.records, feature_topic(spark, written), asked(topic))
    assert (made["verdict"], made["reasons"]) == ("passed", [])
    assert made["counts"]["equal"] == made["counts"]["windows"] == len(wanted(topic))

    # A row that says it holds a record of the third partition less is no version of any range.
    lying = [[(key, value) for key, value in batch] for batch in written]
    key, value = lying[-1][0]
    body = io.BytesIO(value[5:])
    row: Any = fastavro.schemaless_reader(body, READER, None)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, READER, row | {"raw_ranges": row["raw_ranges"][:-1]})
    lying[-1][0] = key, prefix(FEATURES_ID) + out.getvalue()
    made = certified(spark, monkeypatch, topic.records, feature_topic(spark, lying), asked(topic))
    assert made["verdict"] == "failed" and made["counts"]["different"] == 1
    assert "raw_ranges" in made["first_differences"][0]["columns"]
    assert made["first_differences"][0]["line"] == row["line"]


def test_what_a_range_cannot_show_whole_of_any_partition_is_not_judged(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = Topic()
    for minute in range(40):
        topic.report("t1", minute * 60, "1")
        topic.report("t2", minute * 60 + 5, "1")
        if minute in (19, 29):
            topic.cut()
    written = streamed(spark, topic, tmp_path)
    # Partition 1 begins at minute 10: a window of the line is whole behind that and the lead, whatever partition 0 has.
    kept = [r for r in topic.records if r.partition != 1 or r.offset >= 10]
    run = asked(topic, starting_offsets=json.dumps({"raw": {"0": 0, "1": 10, "2": 0}}))
    made = certified(spark, monkeypatch, kept, feature_topic(spark, written), run)
    assert made["verdict"] == "passed"
    assert 0 < made["counts"]["windows"] < 40 - 10 - TRAMS.lead_ms // MINUTE + 1

    # The oldest micro-batch is gone from the topic, and its windows are not missing.
    rows = [row | {"processing_time": NOW_MS + i} for i, batch in enumerate(written) for row in rows_of([batch])]
    assert len({row["processing_time"] for row in rows}) == 3
    kept_rows = [row for row in rows if row["processing_time"] > NOW_MS]
    values = []
    for row in kept_rows:
        out = io.BytesIO()
        names = ("partition", "first_offset", "last_offset")
        ranges = [dict(zip(names, found, strict=True)) for found in row["raw_ranges"]]
        fastavro.schemaless_writer(out, READER, row | {"raw_ranges": ranges})
        values.append((b"1", prefix(FEATURES_ID) + out.getvalue()))
    published = feature_topic(spark, [values], first_offset=len(rows) - len(kept_rows))
    made = certified(spark, monkeypatch, topic.records, published, asked(topic))
    assert made["verdict"] == "passed" and made["counts"]["windows"] > 5


def test_a_repeat_of_another_group_is_found_and_left_out() -> None:
    topic = day()
    scanned = comparison.scan(topic.records, TRAMS, SCHEMAS, lambda at, partition: True)
    assert {at[0] for at in scanned.elsewhere} == {"1"}
    rows = wanted(topic)
    nothing = comparison.compare(rows, rows, scanned, lambda row: False, TRAMS)
    assert (nothing.different, nothing.equal) == (0, len(rows)) and nothing.repeated > 0
    # As if the repeat had counted: the window of line 1 has one record too many.
    twice = oracle.feature_rows(observations(topic), TRAMS)
    assert comparison.compare(twice, twice, scanned, lambda row: False, TRAMS).different > 0
