"""Where things lie under the data folder: the one place that knows the names."""

from __future__ import annotations

from entrepot.oci.digest import Digest

__all__ = [
    "BLOBS",
    "SPOOL",
    "blob_path",
    "digest_of_blob",
    "digest_of_spool",
    "journal_path",
    "spool_path",
]

BLOBS = "blobs"
SPOOL = "spool"


def blob_path(digest: Digest) -> str:
    return f"{BLOBS}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}"


def spool_path(digest: Digest) -> str:
    return f"{SPOOL}/{digest.algorithm}-{digest.hex}.part"


def journal_path(digest: Digest) -> str:
    return f"{SPOOL}/{digest.algorithm}-{digest.hex}.journal"


def digest_of_blob(algorithm: str, name: str) -> Digest:
    """Read a digest back from the names of a blob's folder and file; raise ``InvalidDigest`` for strays."""
    return Digest.parse(f"{algorithm}:{name}")


def digest_of_spool(name: str) -> Digest:
    """Read a digest back from the name of a spool's file; raise ``InvalidDigest`` for strays."""
    algorithm, _, rest = name.partition("-")
    return Digest.parse(f"{algorithm}:{rest.partition('.')[0]}")
