"""Observations as protobuf, read by protobuf's own library: the twin of ts/contract/protobuf.ts.

A contract's message has one optional field for each of its fields, numbered by their order from 1; the descriptor is
built here from the contract and equals what schemas/proto says. A record is refused for bytes that are no message, and
for a known field of another wire type, which the library would set aside as if nobody had sent it.

A Python function on the executors, not Spark's from_protobuf: of the jar that has it no version can be had for this
Spark (infra/local/maven). Without Arrow, whose libraries would cost each executor's Python a tenth of a gigabyte.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from pyspark import cloudpickle
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

# The executors' Python has the libraries, and nothing of ours on its path.
OURS = sys.modules[__name__]
cloudpickle.register_pickle_by_value(OURS)  # type: ignore[no-untyped-call]

# The message index of the first message of a file, as Confluent's writers put it down: in short, and in full.
INDEXES = (b"\x00", b"\x02\x00")

TYPES = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "long": FieldDescriptorProto.TYPE_INT64,
    "int": FieldDescriptorProto.TYPE_INT32,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "boolean": FieldDescriptorProto.TYPE_BOOL,
}


def pascal(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def message_name(avro: str) -> str:
    """Full name of a contract's message."""
    record = json.loads(avro)
    return ".".join(part for part in (record.get("namespace"), pascal(record["name"])) if part)


def descriptors(avro: str) -> FileDescriptorSet:
    """The descriptors of a contract, given as Avro JSON. Raises ValueError for a type without a rule."""
    record = json.loads(avro)
    message = DescriptorProto(name=pascal(record["name"]))
    file = FileDescriptorProto(name=f"{record['name']}.proto", package=record.get("namespace") or "", syntax="proto3")
    for number, field in enumerate(record["fields"], start=1):
        described = message.field.add(
            name=field["name"],
            number=number,
            label=FieldDescriptorProto.LABEL_OPTIONAL,
            # How proto3 knows a field that is not there from one that is zero.
            proto3_optional=True,
            oneof_index=number - 1,
        )
        message.oneof_decl.add(name=f"_{field['name']}")
        kind = bare(field["type"])
        if isinstance(kind, dict) and kind["type"] == "enum":
            described.type = FieldDescriptorProto.TYPE_ENUM
            described.type_name = "." + ".".join(p for p in (file.package, pascal(kind["name"])) if p)
            add_enum(file, kind)
            continue
        word = kind["type"] if isinstance(kind, dict) else kind
        if word not in TYPES:
            raise ValueError(f"no protobuf type for field {field['name']!r}: {kind}")
        described.type = TYPES[word]
    file.message_type.append(message)
    return FileDescriptorSet(file=[file])


def bare(avro: Any) -> Any:
    """A field's type beside null."""
    return next(option for option in avro if option != "null") if isinstance(avro, list) else avro


def add_enum(file: FileDescriptorProto, avro: Any) -> None:
    """Symbols count from 1: 0 is what proto3 wants an enum to begin with, and no symbol of the contract."""
    if any(known.name == pascal(avro["name"]) for known in file.enum_type):
        return
    enum = file.enum_type.add(name=pascal(avro["name"]))
    for number, symbol in enumerate(("unspecified", *avro["symbols"])):
        enum.value.add(name=f"{avro['name']}_{symbol}".upper(), number=number)


def message_in(framed: Column) -> Column:
    """The message of a framed value: what follows the frame's five bytes and the index; null for another index."""
    body: Column = F.lit(None).cast("binary")
    for index in INDEXES:
        held = F.substring(framed, 6, len(index)) == F.lit(index)
        body = F.when(held, F.substring(framed, 6 + len(index), 2_147_483_647)).otherwise(body)
    return body


def parsed(body: Column, avro: str) -> Column:
    """A struct of what a message says, enums as their numbers; null where the bytes are no message of the contract."""
    descriptor = descriptors(avro)
    (message,) = descriptor.file[0].message_type
    read = reader(descriptor.SerializeToString(), message_name(avro))
    columns = [StructField(field.name, SPARK_TYPES[field.type]) for field in message.field]
    return F.udf(read, StructType(columns))(body)


SPARK_TYPES: Mapping[int, DataType] = {
    FieldDescriptorProto.TYPE_STRING: StringType(),
    FieldDescriptorProto.TYPE_INT64: LongType(),
    FieldDescriptorProto.TYPE_INT32: IntegerType(),
    FieldDescriptorProto.TYPE_ENUM: IntegerType(),
    FieldDescriptorProto.TYPE_DOUBLE: DoubleType(),
    FieldDescriptorProto.TYPE_BOOL: BooleanType(),
}


def reader(descriptor: bytes, name: str) -> Callable[[bytes | None], tuple[Any, ...] | None]:
    """Reads one message, its fields in order, None for what is not there; None for bytes that are no message."""
    made: list[tuple[Any, list[str], frozenset[int]]] = []

    def message_type() -> tuple[Any, list[str], frozenset[int]]:
        # Once in each process: the type itself cannot be sent there.
        if not made:
            from google.protobuf import descriptor_pool, message_factory
            from google.protobuf.descriptor_pb2 import FileDescriptorSet

            pool = descriptor_pool.DescriptorPool()
            for file in FileDescriptorSet.FromString(descriptor).file:
                pool.Add(file)
            found = pool.FindMessageTypeByName(name)
            fields = sorted(found.fields, key=lambda field: field.number)
            names, numbers = [field.name for field in fields], frozenset(field.number for field in fields)
            made.append((message_factory.GetMessageClass(found), names, numbers))
        return made[0]

    def read(body: bytes | None) -> tuple[Any, ...] | None:
        if body is None:
            return None
        from google.protobuf.message import DecodeError
        from google.protobuf.unknown_fields import UnknownFieldSet

        kind, names, numbers = message_type()
        try:
            message = kind.FromString(bytes(body))
        except DecodeError:
            return None
        if any(field.field_number in numbers for field in UnknownFieldSet(message)):
            return None
        return tuple(getattr(message, field) if message.HasField(field) else None for field in names)

    return read
