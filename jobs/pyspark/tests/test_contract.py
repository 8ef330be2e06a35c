"""The contract in Python: the same example files as ts/test/contract/examples.test.ts, and the generated modules.

Needs neither Spark nor Ray running: the entrypoints describe themselves in a process that could not start Java.
"""

from __future__ import annotations

import io
import json
import py_compile
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.validation import ValidationError, validate
from ray_jobs.generated import weather_contract as of_ray
from ray_jobs.kit.io import BadRecord, Decoder
from spark_jobs.generated import meters_contract
from spark_jobs.generated.contract import Stream
from spark_jobs.generated.weather_contract import CONTRACT

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "schemas" / "avro" / "examples"
SCHEMA_ID = 7
PREFIX = b"\x00" + SCHEMA_ID.to_bytes(4, "big")

SCHEMAS = {json.loads(text)["name"]: text for text in CONTRACT.schemas.values()}
ACCEPTED = sorted(path.relative_to(EXAMPLES) for path in EXAMPLES.glob("*/accepted/*.json"))
REJECTED = sorted(path.relative_to(EXAMPLES) for path in EXAMPLES.glob("*/rejected/*.json"))


def without_times(schema: Any) -> Any:
    """The schema with times as plain longs: records carry epoch ms, not datetimes."""
    if isinstance(schema, dict):
        return {key: without_times(value) for key, value in schema.items() if key != "logicalType"}
    return [without_times(item) for item in schema] if isinstance(schema, list) else schema


def parsed(record: str) -> Any:
    return fastavro.parse_schema(without_times(json.loads(SCHEMAS[record])))


def native(schema: Any, value: Any) -> Any:
    """A file's JSON as a record: text where the schema says bytes becomes bytes, one a code point."""
    if isinstance(schema, list):
        return None if value is None else native(schema[1], value)
    if schema == "bytes" and isinstance(value, str):
        return value.encode("latin-1")
    if isinstance(schema, dict) and isinstance(value, dict):
        if schema["type"] == "map":
            return {name: native(schema["values"], item) for name, item in value.items()}
        if schema["type"] == "record":
            types = {field["name"]: field["type"] for field in schema["fields"]}
            return {name: native(types.get(name, "string"), item) for name, item in value.items()}
    return value


def encode(record: str, value: Any) -> bytes:
    """Strict both ways: fastavro's writer alone takes 1.5 for a long and cuts it off."""
    schema = parsed(record)
    validate(value, schema, strict=True)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value, strict=True)
    return PREFIX + out.getvalue()


def accepted_bytes(record: str, name: str) -> bytes:
    return bytes.fromhex((EXAMPLES / record / "accepted" / f"{name}.hex").read_text().replace("\n", ""))


def wrong_bytes(record: str, example: dict[str, Any]) -> bytes:
    """Those of a rejected example: its own, or an accepted one's with some cut off or some more."""
    if "hex" in example:
        return bytes.fromhex(example["hex"])
    whole = accepted_bytes(record, example["of"])
    return whole[: len(whole) - example.get("cut", 0)] + bytes.fromhex(example.get("more", ""))


def wrong_record(record: str, example: dict[str, Any]) -> Any:
    """An accepted example's record with the fields of a rejected one put in or dropped, by their dotted names."""
    value = json.loads((EXAMPLES / record / "accepted" / f"{example['of']}.json").read_text("utf-8"))

    def holder(place: str) -> tuple[Any, str]:
        *names, last = place.split(".")
        found = value
        for name in names:
            found = found[name]
        return found, last

    for place, item in example.get("put", {}).items():
        within, name = holder(place)
        within[name] = item
    for place in example.get("drop", []):
        within, name = holder(place)
        del within[name]
    return value


@pytest.mark.parametrize("path", ACCEPTED, ids=str)
def test_accepted_example_is_the_same_bytes_as_in_typescript(path: Path) -> None:
    record = path.parts[0]
    value = native(json.loads(SCHEMAS[record]), json.loads((EXAMPLES / path).read_text("utf-8")))
    golden = accepted_bytes(record, path.stem)
    assert encode(record, value) == golden, "the contract has changed: make golden"
    assert Decoder({str(SCHEMA_ID): SCHEMAS[record]}, SCHEMAS[record])(golden) == value


@pytest.mark.parametrize("path", REJECTED, ids=str)
def test_rejected_example_is_refused(path: Path) -> None:
    record = path.parts[0]
    example = json.loads((EXAMPLES / path).read_text("utf-8"))
    assert example["why"]
    if "put" in example or "drop" in example:
        with pytest.raises((ValidationError, ValueError)):
            encode(record, native(json.loads(SCHEMAS[record]), wrong_record(record, example)))
    else:
        with pytest.raises(BadRecord):
            Decoder({str(SCHEMA_ID): SCHEMAS[record]}, SCHEMAS[record])(wrong_bytes(record, example))


def test_every_record_has_examples() -> None:
    assert {path.parts[0] for path in ACCEPTED} == {path.parts[0] for path in REJECTED} == set(SCHEMAS)


def test_both_engines_hold_the_same_contract() -> None:
    assert vars(of_ray.CONTRACT)["fingerprint"] == CONTRACT.fingerprint
    assert of_ray.CONTRACT.schemas == CONTRACT.schemas


def test_contract_finds_fields_and_truth_columns() -> None:
    assert CONTRACT.field("pressure").unit == "hPa"
    assert [f.name for f in CONTRACT.measured] == [f.name for f in CONTRACT.fields if f.range is not None]
    assert {CONTRACT.target_column(t) for t in CONTRACT.targets} <= {f.column for f in CONTRACT.features}
    with pytest.raises(KeyError):
        CONTRACT.field("pressur")


GENERATED = sorted(
    path
    for engine in ("pyspark/spark_jobs", "ray/ray_jobs")
    for path in (ROOT / "jobs" / engine / "generated").glob("*.py")
)


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_generated_module_compiles(path: Path, tmp_path: Path) -> None:
    py_compile.compile(str(path), cfile=str(tmp_path / "out.pyc"), doraise=True)


SPARK = ROOT / "jobs" / "pyspark" / "spark_jobs" / "generated"
ENTRYPOINTS = {
    "weather-backfill": [str(SPARK / "weather_backfill.py")],
    "weather-infer": ["-m", "ray_jobs.generated.weather_infer"],
    "weather-seed": ["-m", "ray_jobs.generated.weather_seed"],
    "weather-train": ["-m", "ray_jobs.generated.weather_train"],
}


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs an entrypoint as its engine would, but with nothing on the path that an engine could be started from."""
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=ROOT / "jobs" / "ray", env={"PATH": ""}, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRYPOINTS)
def test_entrypoint_describes_itself_without_an_engine(name: str) -> None:
    done = run([*ENTRYPOINTS[name], "--describe"])
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["job"] == name
    assert said["fingerprint"] == CONTRACT.fingerprint
    assert said["plan_hash"] == CONTRACT.plan_hash
    assert {"submission", "fingerprint", "progress_topic"} <= said["params"].keys()


@pytest.mark.slow
def test_the_application_of_the_streams_describes_each_without_an_engine() -> None:
    done = run([str(SPARK / "weather_streams.py"), "--describe"])
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["application"] == "weather-streams"
    assert [member["job"] for member in said["members"]] == ["weather-archive", "weather-features"]
    assert {member["fingerprint"] for member in said["members"]} == {CONTRACT.fingerprint}


def test_entrypoint_refuses_a_wrong_call_and_wrong_parameters(tmp_path: Path) -> None:
    entrypoint = ENTRYPOINTS["weather-seed"]
    assert run(entrypoint).returncode == 2
    path = tmp_path / "params.json"
    path.write_text("{}")
    done = run([*entrypoint, str(path)])
    assert done.returncode == 1
    assert "config_invalid" in done.stderr


def test_a_contract_turned_to_another_stream_says_what_that_ones_observations_are() -> None:
    meters = meters_contract.CONTRACT
    said = (meters.key, meters.event_time, meters.fields, meters.duplicates, meters.lateness_ms, meters.lead_ms)
    other = Stream(*said, "json", meters.schemas["observation"])
    both = replace(CONTRACT, other_streams={"power": other})

    turned = both.in_stream("power")
    assert (turned.key, turned.event_time, turned.fields) == said[:3]
    assert (turned.duplicates, turned.lateness_ms, turned.lead_ms, turned.format) == (*said[3:], "json")
    assert turned.schemas == CONTRACT.schemas | {"observation": meters.schemas["observation"]}
    assert (both.further_keys, turned.further_keys) == (("meter",), ("station_id",))
    assert turned.in_stream("raw") == both
    assert both.in_stream("raw") is both
    with pytest.raises(KeyError, match="wind"):
        both.in_stream("wind")
