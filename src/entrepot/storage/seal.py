"""The seal of a blob that was found right: any write to its file breaks it, and one ``fstat`` tells.

It is the fraction of the second of the file's last change, which is made to follow from the digest.
"""

from __future__ import annotations

import os

from entrepot.oci.digest import Digest
from entrepot.storage.system import System

__all__ = ["is_sealed", "put_seal", "seal_of"]

_SECOND = 10**9


def seal_of(digest: Digest) -> int:
    """Return the nanoseconds that seal a blob: by chance they are so once in 268 million writes."""
    return int(digest.hex[:7], 16)


def is_sealed(fd: int, seal: int) -> bool:
    return os.fstat(fd).st_mtime_ns % _SECOND == seal


def put_seal(system: System, fd: int, seal: int) -> None:
    """Seal a file or raise ``OSError``; one that keeps no fractions of seconds keeps no seal, silently."""
    changed_at = os.fstat(fd).st_mtime_ns // _SECOND * _SECOND + seal
    system.utime(fd, ns=(changed_at, changed_at))
