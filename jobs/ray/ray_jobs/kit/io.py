"""Avro in Confluent framing for the Ray jobs: magic byte 0, schema id as four big-endian bytes, Avro binary.

Sits between Kafka's bytes and the fold's rows. Fetches nothing from a registry: every writer schema arrives in the
parameters. Timestamps stay epoch ms as int: the logical type is taken off before parsing, a datetime a field would cost
more than the fold.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import fastavro
from fastavro.schema import to_parsing_canonical_form

_FRAME = struct.Struct(">bI")


class BadRecord(Exception):
    """A record that cannot be used. `reason` is a symbol of reject_reason, `detail` one sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def schema_id(value: bytes | None) -> int | None:
    """The id in the frame; None when there is no frame."""
    if value is None or len(value) < _FRAME.size or value[0] != 0:
        return None
    return int(_FRAME.unpack_from(value)[1])


class Decoder:
    """Decodes values of one subject into the reader's record: `writers` maps registry id (decimal text) to Avro
    JSON.
    """

    def __init__(self, writers: Mapping[str, str], reader: str) -> None:
        ours = without_logical_types(json.loads(reader))
        canonical = to_parsing_canonical_form(ours)
        parsed = fastavro.parse_schema(ours)
        # The reader is left out where both are the same: resolving defaults costs a third of the decoding.
        self._writers: dict[int, tuple[Any, Any]] = {}
        for text, schema in writers.items():
            writer = without_logical_types(json.loads(schema))
            same = to_parsing_canonical_form(writer) == canonical
            self._writers[int(text)] = (fastavro.parse_schema(writer), None if same else parsed)

    def __call__(self, value: bytes | None) -> dict[str, Any]:
        """Errors: BadRecord with bad_framing, unknown_schema or undecodable. Edges: bytes left over are undecodable."""
        number = schema_id(value)
        if value is None or number is None:
            raise BadRecord("bad_framing", f"expected a zero byte and a schema id, got {_start(value)}")
        found = self._writers.get(number)
        if found is None:
            raise BadRecord(
                "unknown_schema", f"schema id {number} is none of {', '.join(map(str, sorted(self._writers)))}"
            )
        stream = io.BytesIO(value)
        stream.seek(_FRAME.size)
        try:
            record = fastavro.schemaless_reader(stream, found[0], found[1])
        except Exception as error:  # fastavro raises a different class for every way of being wrong.
            raise BadRecord("undecodable", f"schema id {number}: {type(error).__name__} {error}") from error
        if stream.tell() != len(value) or not isinstance(record, dict):
            raise BadRecord("undecodable", f"schema id {number}: {len(value) - stream.tell()} bytes left over")
        return record


class Encoder:
    """Encodes records of one schema under one registry id."""

    def __init__(self, schema: str, number: int) -> None:
        self._schema = fastavro.parse_schema(without_logical_types(json.loads(schema)))
        self._frame = _FRAME.pack(0, number)

    def __call__(self, record: Mapping[str, Any]) -> bytes:
        stream = io.BytesIO()
        stream.write(self._frame)
        fastavro.schemaless_writer(stream, self._schema, record)
        return stream.getvalue()


def without_logical_types(schema: Any) -> Any:
    """The schema without logical types: the bytes are the same, the values stay numbers."""
    if isinstance(schema, list):
        return [without_logical_types(part) for part in schema]
    if isinstance(schema, dict):
        parts = {key: part for key, part in schema.items() if key not in ("logicalType", "default")}
        bare = {key: without_logical_types(part) for key, part in parts.items()}
        return bare | ({"default": schema["default"]} if "default" in schema else {})
    return schema


def _start(value: bytes | None) -> str:
    return "nothing" if value is None else f"{len(value)} bytes starting {value[:5].hex() or 'empty'}"
