"""Confluent framing: magic byte 0, four bytes of schema id (big endian), then Avro."""

from __future__ import annotations

PREFIX_BYTES = 5


def prefix(schema_id: int) -> bytes:
    """The five bytes before an Avro value."""
    return b"\x00" + schema_id.to_bytes(4, "big")
