"""A cache of a million blobs, made by SQL and of files that are holes: minutes to make, and no room."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.storage.layout import blob_path
from entrepot.storage.seal import put_seal, seal_of

__all__ = ["SIZE", "blob_of", "populate", "repository_of"]

SIZE = 64 << 10
"""Bytes of each blob."""

_PER_MANIFEST = 10
_REPOSITORIES = 1000


def blob_of(number: int) -> Digest:
    """Name a blob; the higher its number, the later it goes."""
    return Digest("sha256", _hex("blob", number))


def repository_of(number: int) -> str:
    """Name the repository that holds a blob."""
    return f"team/app-{number // _PER_MANIFEST % _REPOSITORIES}"


async def populate(data: Path, blobs: int) -> None:
    data.mkdir(parents=True)
    FilesystemBlobs(data).close()
    await SqlMetadata.open(data / "entrepot.db").close()
    database = sqlite3.connect(data / "entrepot.db")
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -2000000"):
        database.execute(f"PRAGMA {pragma}")
    with database:
        for statement, rows in _rows(blobs):
            database.executemany(statement, rows)
    database.close()
    for number in range(blobs):
        blob = blob_of(number)
        path = data / blob_path(blob)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.truncate(SIZE)
            put_seal(os, file.fileno(), seal_of(blob))


def _rows(blobs: int) -> Iterator[tuple[str, Iterator[tuple[object, ...]]]]:
    """Yield each table's INSERT with its rows: manifests of ten blobs each, a thousand repositories."""
    manifests = [f"sha256:{_hex('manifest', number)}" for number in range(blobs // _PER_MANIFEST)]
    yield (
        "INSERT INTO repositories (id, upstream, name, path) VALUES (?, 'docker.io', ?, ?)",
        ((number, f"team/app-{number}", f"docker.io/team/app-{number}") for number in range(_REPOSITORIES)),
    )
    yield (
        "INSERT INTO manifests (digest, last_used_at, size, fetched_at, uses, priority) VALUES (?,?,9,1,1,2)",
        ((digest, number * _PER_MANIFEST) for number, digest in enumerate(manifests)),
    )
    yield (
        "INSERT INTO manifest_contents (manifest_digest, content) VALUES (?, ?)",
        ((digest, bytes(1000)) for digest in manifests),
    )
    yield (
        "INSERT INTO repository_manifests (repository_id, digest, media_type) VALUES (?, ?, 'text/any')",
        ((number % _REPOSITORIES, digest) for number, digest in enumerate(manifests)),
    )
    yield (
        "INSERT INTO blobs (digest, size, stored_at, last_used_at, uses, priority) VALUES (?, ?, 1, ?, 1, 2)",
        ((str(blob_of(number)), SIZE, number) for number in range(blobs)),
    )
    yield (
        "INSERT INTO manifest_blobs (manifest_digest, blob_digest) VALUES (?, ?)",
        ((manifests[number // _PER_MANIFEST], str(blob_of(number))) for number in range(blobs)),
    )
    yield (
        "INSERT INTO repository_blobs (repository_id, digest, size) VALUES (?, ?, ?)",
        ((number // _PER_MANIFEST % _REPOSITORIES, str(blob_of(number)), SIZE) for number in range(blobs)),
    )


def _hex(kind: str, number: int) -> str:
    return hashlib.sha256(f"{kind} {number}".encode()).hexdigest()
