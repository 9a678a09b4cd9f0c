from __future__ import annotations

import asyncio
import socket
import sqlite3
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from entrepot import app
from entrepot.app import Application
from entrepot.config.schema import LogSettings, Settings, TlsSettings, UpstreamSettings
from entrepot.errors import EntrepotError, MetadataFailed, SettingsInvalid
from entrepot.metadata import database, schema
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository, Tag
from entrepot.storage.layout import blob_path
from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.waiting import PATIENCE

DIGEST = Digest.of(b"blob")
DEMO = Repository("docker.io", "library/demo")


@pytest.fixture
def settings() -> Settings:
    return Settings(listen="127.0.0.1:0", log=LogSettings(access=False))


@pytest.fixture(autouse=True)
def _log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the log of the tests as it is."""
    monkeypatch.setattr(app, "set_level", lambda _level: None)


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
        readings = iter((changed, changed, settings))
        for _ in range(3):
            application.reload(lambda: next(readings))
    await application.stop()
    told = [line["changed_at_restart"] for line in lines if line["event"] == "settings_reloaded"]
    assert told == [["listen", "log.access"], ["listen", "log.access"], []]


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


@pytest.mark.parametrize("jobs", [("mend-database", "flush-uses"), ("mend-database",)])
async def test_what_is_at_hand_is_in_the_database_that_takes_the_place_of_one_that_is_gone(
    settings: Settings, tmp_path: Path, jobs: Sequence[str]
) -> None:
    """It is recorded by a job, and at the latest at the end."""
    async with FakeRegistry() as registry:
        image = registry.content.add_image("library/demo", "1")
        upstreams = {"docker.io": UpstreamSettings(endpoints=(registry.url,))}
        application = Application(msgspec.structs.replace(settings, upstreams=upstreams), tmp_path)
        await application._manifests.pull(DEMO, Tag("1"))
        (tmp_path / "entrepot.db").unlink()
        for job in jobs:
            assert not (await application._jobs.start(job, PATIENCE)).is_running
        is_recorded = application._metadata.manifest(DEMO, image.digest) is not None
        assert is_recorded == ("flush-uses" in jobs)
        await application.stop()
    opened = SqlMetadata.open(tmp_path / "entrepot.db")
    assert opened.manifest(DEMO, image.digest) is not None
    assert opened.tag(DEMO, "1") is not None
    await opened.close()


def _certify(settings: TlsSettings, name: str, *passphrase: str) -> None:
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"]
    secret = ["-passout", f"pass:{passphrase[0]}"] if passphrase else ["-nodes"]
    files = ["-subj", f"/CN={name}", "-keyout", settings.key, "-out", settings.certificate]
    subprocess.run([*new, *secret, *files], check=True, capture_output=True, timeout=PATIENCE)


@pytest.fixture
def tls(tmp_path: Path) -> TlsSettings:
    tls = TlsSettings(certificate=str(tmp_path / "cache.pem"), key=str(tmp_path / "cache.key"))
    _certify(tls, "first")
    return tls


async def _shown(address: str) -> bytes:
    """Return the certificate that a client sees."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return bytes(shown)


def _listening(lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    (line,) = [line for line in lines if line["event"] == "listening"]
    return line


def _stored(tls: TlsSettings) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(tls.certificate).read_text())


async def test_a_reload_shows_a_renewed_certificate_and_keeps_it_from_a_wrong_one(
    settings: Settings, tls: TlsSettings, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(settings, tls=tls)
    application = Application(settings, tmp_path)
    with capture_logs() as lines:
        await application.start()
        (address,) = _listening(lines)["addresses"]
        first = _stored(tls)
        assert await _shown(address) == first
        _certify(tls, "second")
        application.reload(lambda: settings)
        second = _stored(tls)
        assert await _shown(address) == second != first
        _certify(tls, "third", "secret")
        application.reload(lambda: settings)
        assert await _shown(address) == second
        await application.stop()
    (refused,) = [line for line in lines if line["event"] == "certificate_refused"]
    assert "passphrase" in refused["reason"]


def test_a_key_with_a_passphrase_is_refused_without_a_question(
    settings: Settings, tls: TlsSettings, tmp_path: Path
) -> None:
    _certify(tls, "locked", "secret")
    with pytest.raises(SettingsInvalid, match="passphrase: give it without one"):
        Application(msgspec.structs.replace(settings, tls=tls), tmp_path)


async def test_a_database_that_is_locked_ends_the_start_and_costs_no_ballast(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.01)
    await Application(settings, tmp_path).stop()
    with closing(sqlite3.connect(tmp_path / "entrepot.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(MetadataFailed, match="locked by another process"):
            Application(settings, tmp_path)
    assert (tmp_path / "entrepot.ballast").exists()


async def test_a_busy_port_is_a_failure_but_no_wrong_setting(settings: Settings, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy, capture_logs() as lines:
        listen = f"127.0.0.1:{busy.getsockname()[1]}"
        application = Application(msgspec.structs.replace(settings, listen=listen), tmp_path)
        with pytest.raises(EntrepotError) as failed:
            await application.start()
        await application.stop()
    told, _, advice = str(failed.value).partition(": stop what serves there, or ")
    assert told == f"cannot listen on {listen}: Address already in use"
    assert advice == "choose another port with --listen or ENTREPOT_LISTEN"
    assert not isinstance(failed.value, SettingsInvalid)
    assert not {line["event"] for line in lines} & {"listening", "draining", "stopped"}


async def test_the_log_tells_where_it_listens_and_what_it_is(settings: Settings, tmp_path: Path) -> None:
    application = Application(msgspec.structs.replace(settings, listen="[::1]:0"), tmp_path)
    with capture_logs() as lines:
        await application.start()
        await application.stop()
    listening = _listening(lines)
    (address,) = listening["addresses"]
    assert address.startswith("[::1]:")
    assert (listening["scheme"], listening["data"]) == ("http", str(tmp_path))
    assert listening["version"]


async def test_a_cache_that_is_its_own_upstream_says_so(settings: Settings, tmp_path: Path) -> None:
    application = Application(settings, tmp_path)
    with capture_logs() as lines:
        await application.start()
        url = f"http://{_listening(lines)['addresses'][0]}"
        itself = msgspec.structs.replace(
            settings, upstreams={"docker.io": UpstreamSettings(endpoints=(url,))}
        )
        application.reload(lambda: itself)
        reply = await asyncio.to_thread(ask, url, "/v2/library/demo/manifests/1")
        await application.stop()
    assert reply.status == 503
    assert b"came back to the cache" in reply.body
