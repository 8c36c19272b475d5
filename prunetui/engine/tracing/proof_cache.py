"""Proofs in the user's cache directory, under the digest of the network, with a checksum.

What cannot be read, or is not what was written, is not there; what cannot be written is computed again.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import platformdirs

from prunetui.engine.tracing.plain_proof import plain_proof, proof_from
from prunetui.engine.tracing.prove import Proof
from prunetui.files.atomic import write_atomic
from prunetui.files.safe_json import read_json


def read_proof(digest: str) -> Proof | None:
    """The proof that is kept under a digest; None if there is none that can be understood."""
    try:
        return proof_from(read_plain(digest))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def keep_proof(digest: str, proof: Proof) -> None:
    """Keep a proof; where that is impossible, it will take its seconds again."""
    keep_plain(digest, plain_proof(proof))


def read_plain(digest: str) -> Any:
    """The JSON-able data that is kept under a digest; None if there is none that is what was written."""
    try:
        kept = read_json(_place(digest).read_bytes())
        plain = kept["proof"]
        return plain if kept["digest"] == digest and kept["checksum"] == _checksum(plain) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def keep_plain(digest: str, plain: Any) -> None:
    """Keep what was proved as JSON-able data."""
    path = _place(digest)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps({"digest": digest, "checksum": _checksum(plain), "proof": plain}))
    except OSError:
        return


def _place(digest: str) -> Path:
    return platformdirs.user_cache_path("prunetui") / "proofs" / f"{digest[:32]}.json"


def _checksum(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
