"""Strict reading of parameter records: every key there, none too many, every value of its type.

Copied from ts/codegen/static by the generator; the generated params.py beside this one names the records. Fills in no
default: the submitter sends every key, null included.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Self, Union, get_args, get_origin, get_type_hints


class Parsed:
    """Base of the generated records, which are frozen dataclasses."""

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """The record of a JSON object. Raises ValueError naming the key, what was wanted and what was seen."""
        return cls(**_members(cls, data, cls.__name__))


def _members(cls: type, data: Any, at: str) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise ValueError(f"Cannot read {at}: expected an object, got {data!r}")
    hints = get_type_hints(cls)
    names = [field.name for field in fields(cls)]
    absent = [name for name in names if name not in data]
    extra = [name for name in data if name not in names]
    if absent or extra:
        raise ValueError(f"Cannot read {at}: expected exactly its keys, got none for {absent} and unknown {extra}")
    return {name: _value(hints[name], data[name], f"{at}.{name}") for name in names}


def _value(wanted: Any, value: Any, at: str) -> Any:
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        inner = next(arm for arm in get_args(wanted) if arm is not type(None))
        return None if value is None else _value(inner, value, at)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(get_args(wanted)[0], item, f"{at}[{i}]") for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {name: _value(get_args(wanted)[1], item, f"{at}.{name}") for name, item in value.items()}
    if origin is None and issubclass(wanted, Parsed):
        return wanted(**_members(wanted, value, at))
    if wanted is float and type(value) is int:
        return float(value)
    # By exact type: a bool is an int in Python, and true is no number of partitions.
    if origin is None and type(value) is wanted:
        return value
    raise ValueError(f"Cannot read {at}: expected {getattr(wanted, '__name__', wanted)}, got {value!r}")
