from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from entrepot.cli.main import main
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks
from entrepot.oci.reference import Repository
from entrepot.ports.metadata import StoredManifest
from entrepot.storage.layout import blob_path

Verify = Callable[..., Result]
DEMO = Repository("docker.io", "library/demo")
BLOB, OTHER = Digest.of(b"blob"), Digest.of(b"other")
MANIFEST = StoredManifest(Digest.of(b"{}"), "a/b", b"{}")


async def _record(data: Path) -> None:
    metadata = SqlMetadata.open(data / "entrepot.db")
    await metadata.record_manifest(DEMO, MANIFEST, ManifestLinks(), 1.0)
    await metadata.confirm_blob(DEMO, BLOB, 4)
    for digest in (BLOB, OTHER):
        await metadata.record_stored(digest, 5, 1.0)
    await metadata.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for digest, content in ((BLOB, b"blob"), (OTHER, b"other")):
        path = tmp_path / blob_path(digest)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    asyncio.run(_record(tmp_path))
    return tmp_path


@pytest.fixture
def verify(data: Path) -> Verify:
    def verify(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["verify", "--data", str(data), *arguments])

    return verify


def test_all_that_is_right_is_told_in_one_line_and_exits_with_0(verify: Verify) -> None:
    result = verify()
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "2 blobs, 1 manifest, 11 bytes: nothing wrong; 0 failed\n"


def test_what_is_wrong_is_named_and_dropped_and_exits_with_3(verify: Verify, data: Path) -> None:
    (data / blob_path(OTHER)).write_bytes(b"wrong")
    result = verify()
    assert result.exit_code == 3
    assert result.stdout.splitlines() == [
        f"dropped: blob {OTHER}",
        "2 blobs, 1 manifest, 11 bytes: 1 dropped, to be fetched at the next pull; 0 failed",
    ]
    assert not (data / blob_path(OTHER)).exists()
    assert verify().exit_code == 0


def test_scripts_get_an_object_a_line(verify: Verify, data: Path) -> None:
    (data / blob_path(OTHER)).write_bytes(b"wrong")
    lines = [json.loads(line) for line in verify("--json").stdout.splitlines()]
    assert lines == [
        {"event": "dropped", "kind": "blob", "digest": str(OTHER), "reason": ""},
        {"event": "verified", "blobs": 2, "manifests": 1, "bytes": 11, "dropped": 1, "failed": 0},
    ]


@pytest.mark.parametrize(
    ("target", "summary"),
    [
        (str(DEMO), "1 blob, 1 manifest, 6 bytes"),
        ("demo", "1 blob, 1 manifest, 6 bytes"),
        ("library/demo", "1 blob, 1 manifest, 6 bytes"),
        ("index.docker.io/demo", "1 blob, 1 manifest, 6 bytes"),
        (str(BLOB), "1 blob, 0 manifests, 4 bytes"),
        (str(MANIFEST.digest), "0 blobs, 1 manifest, 2 bytes"),
    ],
)
def test_only_what_is_named_is_read(verify: Verify, data: Path, target: str, summary: str) -> None:
    (data / blob_path(OTHER)).write_bytes(b"wrong")
    result = verify(target)
    assert (result.exit_code, result.stdout.partition(":")[0]) == (0, summary)


@pytest.mark.parametrize("target", ["hub/app", "HUB.test:5000/app"])
def test_an_upstream_that_no_configuration_names_is_known_by_what_is_kept_of_it(
    verify: Verify, data: Path, target: str
) -> None:
    async def keep() -> None:
        metadata = SqlMetadata.open(data / "entrepot.db")
        for upstream in ("hub", "hub.test:5000"):
            await metadata.confirm_blob(Repository(upstream, "app"), BLOB, 4)
        await metadata.close()

    asyncio.run(keep())
    assert verify(target).stdout == "1 blob, 0 manifests, 4 bytes: nothing wrong; 0 failed\n"


@pytest.mark.parametrize("target", ["quay.io/absent/thing", str(Digest.of(b"absent"))])
def test_what_is_not_there_is_a_failure(verify: Verify, target: str) -> None:
    result = verify(target)
    assert result.exit_code == 1
    assert f"failed: nothing is kept of {target}" in result.stdout


def test_what_was_looked_for_is_told_where_nothing_is_there(verify: Verify) -> None:
    assert "failed: nothing is kept of docker.io/library/alpine" in verify("alpine").stdout


@pytest.mark.parametrize("target", ["Alpine", "sha256:12", "docker.io/UPPER"])
def test_what_can_be_no_content_is_wrong_usage(verify: Verify, target: str) -> None:
    result = verify(target)
    assert result.exit_code == 2
    assert "expected a repository, as in docker.io/library/alpine, or a digest" in result.stderr


def test_a_blob_that_cannot_be_read_is_a_failure_and_the_rest_is_read(verify: Verify, data: Path) -> None:
    (data / blob_path(BLOB)).unlink()
    (data / blob_path(BLOB)).mkdir()
    result = verify(str(BLOB), str(OTHER))
    assert result.exit_code == 1
    assert "failed: blob" in result.stdout
    assert "Is a directory" in result.stdout
    assert "2 blobs, 0 manifests, 5 bytes: none of it wrong; 1 failed" in result.stdout


def test_a_damaged_database_is_told_and_left_to_the_cache(verify: Verify, data: Path) -> None:
    (data / "entrepot.db").write_bytes(b"no database" * 1000)
    result = verify()
    assert result.exit_code == 1
    assert "entrepot.db is damaged" in result.stderr
    assert [path.name for path in data.glob("entrepot.db*")] == ["entrepot.db"]


def test_a_folder_without_a_cache_is_refused_and_stays_empty(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = CliRunner().invoke(main, ["verify", "--data", str(empty)])
    assert result.exit_code == 2
    assert f"no cache in {empty}; name its folder with --data" in result.stderr
    assert list(empty.iterdir()) == []
