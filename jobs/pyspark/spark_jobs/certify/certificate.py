"""The certificate: what was compared and what came out, as a file named by the SHA-256 of its bytes.

certify.py fills it, backfill.py notes code_sha256() with each commit of the feature table, and
ray_jobs/judge/certificate.py holds the two against each other before a training. No wall clock and no chance in it: the
same range, code and contract make the same file.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

# The code that decides what a feature row is, in stream and backfill. The contract's numbers have the fingerprint.
CODE = ("windows/backfill.py", "windows/decode.py", "windows/features.py", "kit/io.py", "windows/windows.py")

PASSED, FAILED = "passed", "failed"


def code_sha256() -> str:
    """Hash of the names and bytes of CODE as this process runs it."""
    whole = hashlib.sha256()
    for name in CODE:
        body = (Path(__file__).parents[1] / name).read_bytes()
        whole.update(f"{name}\0{len(body)}\0".encode() + body)
    return whole.hexdigest()


def text_of(certificate: dict[str, Any]) -> str:
    """The bytes that are hashed and stored. Raises ValueError for a number JSON does not know."""
    return json.dumps(certificate, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def store(folder: str, certificate: dict[str, Any]) -> str:
    """Writes the certificate into the folder and returns its SHA-256; a reader sees all of it or nothing."""
    body = text_of(certificate).encode()
    name = hashlib.sha256(body).hexdigest()
    path = Path(folder.removeprefix("file://"))
    path.mkdir(parents=True, exist_ok=True)
    beside = path / f"{name}.{os.getpid()}.new"
    beside.write_bytes(body)
    beside.replace(path / f"{name}.json")
    return name
