"""The metadata ports, over one database."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from entrepot.metadata.blobs import SqlBlobIndex
from entrepot.metadata.catalogue import SqlCatalogue
from entrepot.metadata.contents import SqlContents
from entrepot.metadata.database import Database
from entrepot.metadata.eviction import SqlEvictionIndex
from entrepot.metadata.listings import SqlListings
from entrepot.metadata.manifests import SqlManifestIndex
from entrepot.metadata.purges import SqlPurges
from entrepot.metadata.retention import SqlRetentionIndex

__all__ = ["SqlMetadata"]


class SqlMetadata(
    SqlManifestIndex,
    SqlBlobIndex,
    SqlContents,
    SqlListings,
    SqlEvictionIndex,
    SqlRetentionIndex,
    SqlCatalogue,
    SqlPurges,
):
    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create the database at ``path``, in the newest schema.

        A file that cannot be opened is moved aside, with a warning.  Raises ``MetadataFailed`` where the
        file cannot be used, has no room to grow, is of a newer version, or is locked for five seconds.
        """
        return cls(Database.open(path))

    @classmethod
    def visit(cls, path: Path) -> Self:
        """Open a database that another process may have open, as it is; raises ``MetadataFailed``."""
        return cls(Database.visit(path))

    async def check(self) -> None:
        await self._database.check()

    async def renew(self) -> bool:
        return await self._database.renew()

    async def close(self) -> None:
        await self._database.close()
