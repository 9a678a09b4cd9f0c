"""Purging: what an administrator has chosen is forgotten, and the next pull fetches it again."""

from __future__ import annotations

from entrepot.engine.blobs import Blobs
from entrepot.engine.manifests import Manifests
from entrepot.errors import StoreFailed
from entrepot.policy.selection import Selection
from entrepot.ports.blobs import BlobStore
from entrepot.ports.catalogue import Purged, Purges
from entrepot.ports.metadata import StoredBlobs
from entrepot.telemetry.log import log

__all__ = ["Purging"]


class Purging:
    def __init__(
        self, purges: Purges, manifests: Manifests, blobs: Blobs, store: BlobStore, stored: StoredBlobs
    ) -> None:
        self._purges = purges
        self._manifests = manifests
        self._blobs = blobs
        self._store = store
        self._stored = stored

    async def purge(self, selection: Selection, *, dry_run: bool) -> Purged:
        """Let go of what is selected, with the bytes that nothing else needs.  Raises ``MetadataFailed``."""
        tags = None if selection.tags is None else selection.takes_tag
        purged = await self._purges.purge(selection.takes, tags, dry_run=dry_run)
        if not dry_run:
            self._manifests.forget(purged.tags, purged.manifests)
            self._blobs.forget(set(purged.repositories))
            await self._delete(purged)
        return purged

    async def _delete(self, purged: Purged) -> None:
        """Delete last, so that a crash leaves bytes without a row, which the next start finds, at worst."""
        for digest, _ in purged.blobs:
            if self._stored.is_stored(digest) or self._blobs.is_coming(digest):
                continue  # Somebody has pulled it again meanwhile.
            try:
                await self._store.delete(digest)
            except StoreFailed as failure:
                log.warning("blob_not_deleted", digest=str(digest), reason=str(failure))
