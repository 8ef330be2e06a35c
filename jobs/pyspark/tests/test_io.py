"""Client properties in Java's words, and progress events as counters: client.py and progress.py without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from spark_jobs.kit.client import java_client
from spark_jobs.kit.progress import Progress, epoch_ms, lag


def test_java_client_says_the_same_as_librdkafka() -> None:
    assert java_client({"bootstrap.servers": "a:1"}) == {"bootstrap.servers": "a:1"}
    sasl = {"security.protocol": "SASL_SSL", "sasl.mechanisms": "SCRAM-SHA-512", "sasl.username": "u"}
    java = java_client(sasl | {"sasl.password": 'p"\\', "ssl.ca.location": "/ca.pem"})
    assert java["sasl.mechanism"] == "SCRAM-SHA-512"
    assert java["ssl.truststore.location"] == "/ca.pem" and java["ssl.truststore.type"] == "PEM"
    assert java["sasl.jaas.config"] == (
        'org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="p\\"\\\\";'
    )
    assert "PlainLoginModule" in java_client({"sasl.mechanism": "PLAIN", "sasl.username": "u"})["sasl.jaas.config"]


def test_java_client_reads_certificate_and_key_and_says_none_as_java_does(tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    certificate.write_text("CERT")
    key.write_text("KEY")
    paths = {"ssl.certificate.location": str(certificate), "ssl.key.location": str(key), "ssl.key.password": "p"}
    assert java_client(paths | {"ssl.endpoint.identification.algorithm": "none"}) == {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": "CERT",
        "ssl.keystore.key": "KEY",
        "ssl.key.password": "p",
        "ssl.endpoint.identification.algorithm": "",
    }


def test_java_client_refuses_what_it_has_no_rule_for() -> None:
    with pytest.raises(ValueError, match="certificate"):
        java_client({"enable.ssl.certificate.verification": "false"})
    with pytest.raises(ValueError, match="oauthbearer"):
        java_client({"sasl.oauthbearer.config": "x"})


def event(batch: int, rows: int, late: int, published: int) -> dict[str, object]:
    state = {"numRowsTotal": 7, "memoryUsedBytes": 1000, "numRowsDroppedByWatermark": late}
    return {
        "name": "q",
        "batchId": batch,
        "numInputRows": rows,
        "processedRowsPerSecond": 10.0,
        "durationMs": {"triggerExecution": 400, "addBatch": 300},
        "eventTime": {"watermark": "1970-01-01T00:00:01.500Z"},
        "stateOperators": [state],
        "sources": [{"endOffset": {"t": {"0": 5, "1": 8}}, "latestOffset": {"t": {"0": 9, "1": 8}}}],
        "observedMetrics": {"published": {"rows": published}},
    }


def test_counters_add_up_what_counts_and_keep_the_last_of_the_rest() -> None:
    progress = Progress()
    assert progress.counters("q") == {}
    progress.take(event(1, 10, 2, 3))
    progress.take(event(2, 5, 0, 4))
    counters = progress.counters("q")
    assert (counters["input_rows"], counters["late_rows"], counters["output_rows"]) == (15, 2, 7)
    assert (counters["batch_id"], counters["batch_rows"], counters["batch_ms"]) == (2, 5, 400)
    assert (counters["lag"], counters["watermark_ms"], counters["state_rows"]) == (4, 1500, 7)


def test_lag_and_time_before_there_is_any() -> None:
    assert lag({"endOffset": None, "latestOffset": None}) == 0
    assert lag({"endOffset": {}, "latestOffset": {"t": {"0": 3}}}) == 3
    assert epoch_ms(None) == 0
