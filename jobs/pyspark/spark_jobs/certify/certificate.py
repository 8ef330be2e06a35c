"""The certificate: what was compared and what came out, as a file named by the SHA-256 of its bytes.

certify.py fills it, backfill.py notes meaning.code_sha256() with each commit of the feature table, and
ray_jobs/judge/certificate.py holds the two against each other before a training. No wall clock and no chance in it: the
same range, code and contract make the same file.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

PASSED, FAILED = "passed", "failed"
# Beside the certificates; what lies there names one, by the submission that made it.
RUNS = "runs"


def text_of(certificate: dict[str, Any]) -> str:
    """The bytes that are hashed and stored. Raises ValueError for a number JSON does not know."""
    return json.dumps(certificate, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def store(folder: str, certificate: dict[str, Any]) -> str:
    """Writes the certificate into the folder and returns its SHA-256; a reader sees all of it or nothing."""
    body = text_of(certificate).encode()
    name = hashlib.sha256(body).hexdigest()
    path = Path(folder.removeprefix("file://"))
    put(path / f"{name}.json", body)
    return name


def note(folder: str, submission: str, name: str) -> None:
    """Leaves the name of a run's certificate where the submitter looks for it: `runs/<submission>`."""
    put(Path(folder.removeprefix("file://")) / RUNS / submission, name.encode())


def put(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    beside.write_bytes(body)
    beside.replace(path)
