"""Looking into what is held: a manifest, the config it names, and who refers to it."""

from __future__ import annotations

import asyncio
import os

from msgspec import Struct

from entrepot.errors import ManifestNotHere
from entrepot.oci.digest import Digest
from entrepot.oci.image import ImageConfig, ManifestDescription, describe_config, describe_manifest
from entrepot.oci.reference import Reference, Repository, Tag
from entrepot.ports.blobs import BlobStore
from entrepot.ports.metadata import ManifestIndex, StoredManifest

__all__ = ["Inspected", "Inspection"]

_LARGEST_CONFIG = 4 << 20


class Inspected(Struct, frozen=True):
    """``config`` is ``None`` where the manifest names none, or its bytes are not held."""

    manifest: StoredManifest
    description: ManifestDescription
    config: ImageConfig | None


class Inspection:
    """Asks no upstream and counts as no use: looking changes nothing."""

    def __init__(self, index: ManifestIndex, store: BlobStore) -> None:
        self._index = index
        self._store = store

    async def inspect(self, repository: Repository, reference: Reference) -> Inspected:
        """Raise ``ManifestNotHere`` where the repository is not known to hold it."""
        manifest = self._find(repository, reference)
        if manifest is None:
            raise ManifestNotHere(f"{repository} holds no {reference} here: it was not pulled yet")
        description = await asyncio.to_thread(describe_manifest, manifest.content)
        named = description.config
        config = await self._config(Digest.parse(named.digest)) if named is not None else None
        return Inspected(manifest, description, config)

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
