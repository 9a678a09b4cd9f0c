from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from entrepot import app
from entrepot.app import Application
from entrepot.config.schema import LogSettings, Settings
from entrepot.errors import MetadataFailed
from entrepot.metadata import schema
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.storage.layout import blob_path

DIGEST = Digest.of(b"blob")


@pytest.fixture
def settings() -> Settings:
    return Settings(listen="127.0.0.1:0", log=LogSettings(access=False))


@pytest.fixture(autouse=True)
def _log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the log of the tests as it is."""
    monkeypatch.setattr(app, "configure_log", lambda _level, _form: None)


async def _fail() -> None:
    raise RuntimeError("it does not end")


async def test_a_part_that_fails_to_end_keeps_no_other_from_ending(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = tmp_path / blob_path(DIGEST)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"blob")
    application = Application(settings, tmp_path)
    await application.start()
    monkeypatch.setattr(application._manifests, "close", _fail)
    await application._note_stored(DIGEST, 4)
    application._uses.note(DIGEST)
    with pytest.raises(RuntimeError, match="does not end"):
        await application.stop()
    assert [entry.name for entry in tmp_path.glob("*.db*")] == ["entrepot.db"]
    with pytest.raises(MetadataFailed):
        await application._metadata.record_stored(DIGEST, 4, 1.0)
    again = SqlMetadata.open(tmp_path / "entrepot.db")
    assert again._database.find(select(schema.blobs.c.uses)) == [(1,)]
    await again.close()


async def test_a_reload_names_what_counts_only_at_the_next_start(settings: Settings, tmp_path: Path) -> None:
    application = Application(settings, tmp_path)
    changed = msgspec.structs.replace(settings, listen=":1", log=LogSettings(access=True, level="debug"))
    with capture_logs() as lines:
        application.reload(lambda: changed)
    await application.stop()
    assert [line["changed_at_restart"] for line in lines if line["event"] == "settings_reloaded"] == [
        ["listen", "log.access"]
    ]


async def test_a_blob_that_cannot_be_recorded_is_stored_all_the_same(
    settings: Settings, tmp_path: Path
) -> None:
    application = Application(settings, tmp_path)
    await application._metadata.close()
    with capture_logs() as lines:
        await application._note_stored(DIGEST, 4)
    assert [line["event"] for line in lines] == ["blob_not_recorded"]
    with pytest.raises(MetadataFailed):
        await application.stop()
