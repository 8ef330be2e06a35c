"""The manifest of a model folder: digests of its files and of itself, so that a changed byte is noticed.

Knows nothing of what a model is; heads.py writes one, registry.py carries the folder.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ray_jobs.generated.job import JobError

FORMAT = 3
MANIFEST = "manifest.json"


def digest_of(manifest: dict[str, Any]) -> str:
    """SHA-256 over everything a manifest says but its own digest and its parent; head files are in it by their
    digests.
    """
    return hashlib.sha256(canonical({k: v for k, v in manifest.items() if k not in ("digest", "parent")})).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder whose files are all as it says. Errors: `model_refused` when one is missing or was
    changed.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JobError("model_refused", f'Cannot load model "{folder}": its {MANIFEST} cannot be read') from error
    if manifest.get("format") != FORMAT:
        raise JobError(
            "model_refused", f'Cannot load model "{folder}": expected format {FORMAT}, got {manifest.get("format")}'
        )
    _check_digest(folder, MANIFEST, str(manifest.get("digest")), digest_of(manifest))
    for name, wanted in manifest["files"].items():
        try:
            seen = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise JobError("model_refused", f'Cannot load model "{folder}": its file "{name}" is missing') from error
        _check_digest(folder, name, wanted, seen)
    return manifest


def _check_digest(folder: Path, name: str, wanted: str, seen: str) -> None:
    if wanted != seen:
        raise JobError(
            "model_refused",
            f'Cannot load model "{folder}": "{name}" has digest {seen[:16]}, its manifest says {wanted[:16]}',
        )


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
