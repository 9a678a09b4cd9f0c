"""Looking into what is held: a manifest, the config it names, and who refers to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from entrepot.errors import ManifestNotHere
from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.oci.image import ImageConfig, ManifestDescription, describe_config, describe_manifest
from entrepot.oci.reference import Reference, Repository, Tag
from entrepot.ports.blobs import BlobStore
from entrepot.ports.metadata import ManifestIndex, StoredBlobs, StoredManifest

__all__ = ["Held", "Inspected", "Inspection"]

_LARGEST_CONFIG = 4 << 20


class Held(StrEnum):
    """How much of an image is here: without its manifest nothing of it counts."""

    NONE = "none"
    PART = "part"
    ALL = "all"


class Inspected(Struct, frozen=True):
    """``config`` is ``None`` where the manifest names none, or its bytes are not held.

    ``held``: how much is here of each manifest that an index names.
    """

    manifest: StoredManifest
    description: ManifestDescription
    config: ImageConfig | None
    held: Mapping[str, Held]


class Inspection:
    """Asks no upstream and counts as no use: looking changes nothing."""

    def __init__(self, index: ManifestIndex, store: BlobStore, stored: StoredBlobs) -> None:
        self._index = index
        self._store = store
        self._stored = stored

    async def inspect(self, repository: Repository, reference: Reference) -> Inspected:
        """Raise ``ManifestNotHere`` where the repository is not known to hold it."""
        manifest = self._find(repository, reference)
        if manifest is None:
            raise ManifestNotHere(
                f"{repository} holds no {reference} here: it was not pulled, or has gone since"
            )
        description = await asyncio.to_thread(describe_manifest, manifest.content)
        named = description.config
        config = await self._config(Digest.parse(named.digest)) if named is not None else None
        held: dict[str, Held] = {}
        for image in description.platforms:  # An index may name many, and one of them often.
            if image.digest not in held:
                held[image.digest] = await self._held(repository, image.digest)
        return Inspected(manifest, description, config, held)

    async def _held(self, repository: Repository, digest: str) -> Held:
        await asyncio.sleep(0)  # For others have their turn between two of many.
        try:
            manifest = self._find(repository, Digest.parse(digest))
        except InvalidDigest:
            return Held.NONE
        if manifest is None:
            return Held.NONE
        description = await asyncio.to_thread(describe_manifest, manifest.content)
        config = [] if description.config is None else [description.config]
        blobs = [Digest.parse(content.digest) for content in (*config, *description.layers)]
        return Held.ALL if all(map(self._stored.is_stored, blobs)) else Held.PART

    def _find(self, repository: Repository, reference: Reference) -> StoredManifest | None:
        if isinstance(reference, Tag):
            record = self._index.tag(repository, reference.name)
            if record is None:
                return None
            reference = record.digest
        return self._index.manifest(repository, reference) or self._index.child(repository, reference)

    async def _config(self, digest: Digest) -> ImageConfig | None:
        blob = self._store.open(digest)
        if blob is None:
            return None
        try:
            if blob.size > _LARGEST_CONFIG:
                return None
            return describe_config(await asyncio.to_thread(os.pread, blob.fileno(), blob.size, 0))
        finally:
            blob.close()
