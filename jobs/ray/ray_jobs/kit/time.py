"""Lengths of time that have no name in a contract."""

HOUR_MS = 3_600_000
