"""What a registered schema says, whatever its format: the twin of ts/contract/format.ts.

A JSON Schema and a .proto carry the contract in Avro that they were rendered from; Avro is its own contract.
"""

from __future__ import annotations

import json

JSON_KEYWORD = "x-avro"
PROTO_COMMENT = "// avro: "


def avro_of(schema: str) -> str:
    """The contract behind a registered schema, as Avro JSON. Raises ValueError for one without."""
    for line in schema.splitlines():
        if line.startswith(PROTO_COMMENT):
            return line.removeprefix(PROTO_COMMENT)
    found = json.loads(schema)
    if "$schema" not in found:
        return schema
    if JSON_KEYWORD not in found:
        raise ValueError(f"expected a schema that `millrace apply` registered, got {schema[:80]!r}")
    return json.dumps(found[JSON_KEYWORD])
