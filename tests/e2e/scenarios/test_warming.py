"""Images are there before they are asked for: ordered by the command, or on a schedule, and through restarts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.programs import CacheProgram
from entrepot.testing.registry_content import Image
from entrepot.testing.registry_wire import Fault
from entrepot.testing.waiting import wait_until

Warm = Callable[..., subprocess.CompletedProcess[str]]
NOTATION = "application/vnd.cncf.notary.signature"
AMD, ARM = "linux/amd64", "linux/arm64"


@pytest.fixture
def warm(cache: CacheProgram) -> Warm:
    def warm(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "entrepot", "warm", "--config", str(cache.config), *arguments]
        return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)

    return warm


def _publish(upstream: FakeRegistry, repository: str, tag: str) -> dict[str, Image]:
    """Have an image for two platforms upstream."""
    images = {
        platform: upstream.content.add_image(repository, layers=[f"{repository} {platform}".encode() * 1000])
        for platform in (AMD, ARM)
    }
    upstream.content.add_index(repository, tag, images)
    return images


def _pull(cache: CacheProgram, repository: str, tag: str, image: Image) -> set[int]:
    """Ask for everything a client needs of an image; return the statuses."""
    manifests = [f"manifests/{tag}", f"manifests/{image.digest}"]
    blobs = [f"blobs/{digest}" for digest in (image.config, *image.layers)]
    return {ask(cache.url, f"/v2/{repository}/{path}").status for path in manifests + blobs}


def _call(cache: CacheProgram, path: str) -> Any:
    token = (cache.data / "admin-token").read_text().strip()
    return json.loads(ask(cache.url, f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"}).body)


def test_what_was_warmed_is_pulled_without_the_upstream(
    cache: CacheProgram, upstream: FakeRegistry, warm: Warm
) -> None:
    first, second = _publish(upstream, "library/one", "1"), _publish(upstream, "team/two", "2")
    done = warm("--platform", ARM, "one:1", "docker.io/team/two:2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "warm 1 done: 2 of 2 images are there, 0 failed\n"
    assert upstream.count("blob", "GET", str(first[AMD].layers[0])) == 0
    upstream.from_thread(upstream.stop())
    assert _pull(cache, "library/one", "1", first[ARM]) == {200}
    assert _pull(cache, "team/two", "2", second[ARM]) == {200}


def test_signed_images_can_be_verified_without_the_upstream(
    cache: CacheProgram, upstream: FakeRegistry, warm: Warm
) -> None:
    content = upstream.content
    signed = content.add_image("library/app", "1", layers=[b"signed"])
    tagged = content.add_image("library/app", "2", layers=[b"tagged"])
    unsigned = content.add_image("library/app", "3", layers=[b"unsigned"])
    signature = content.add_image(
        "library/app", layers=[b"{}"], subject=signed.digest, artifact_type=NOTATION, config=b"of notation"
    )
    content.add_image("library/app", f"sha256-{tagged.digest.hex}.sig", layers=[b"of cosign"])
    upstream.behaviour.referrers_api = True
    done = warm("--only-signed", "--referrers", "app:*")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "warm 1 done: 2 of 3 images are there, 0 failed, 1 are not signed\n"
    assert upstream.count("blob", containing=str(unsigned.layers[0])) == 0
    upstream.from_thread(upstream.stop())
    listed = ask(cache.url, f"/v2/library/app/referrers/{signed.digest}").body
    assert [one["digest"] for one in json.loads(listed)["manifests"]] == [str(signature.digest)]
    assert _pull(cache, "library/app", str(signature.digest), signature) == {200}
    assert ask(cache.url, f"/v2/library/app/manifests/sha256-{tagged.digest.hex}.sig").status == 200


def test_images_are_read_from_files_of_every_kind(
    cache: CacheProgram, upstream: FakeRegistry, warm: Warm, folder: Path
) -> None:
    for name in ("web", "db", "listed", "init", "main"):
        _publish(upstream, f"library/{name}", "1")
    (folder / "images.txt").write_text("listed:1 # one\n")
    (folder / ".env").write_text("TAG=1\n")
    (folder / "compose.yaml").write_text(
        "x-base: &base {image: 'web:${TAG}'}\nservices:\n  web: {<<: *base, ports: !reset []}\n"
        "  db: {image: '${DB:-db:1}'}\n"
    )
    helm = (
        "---\n# Source: chart/templates/a.yaml\nkind: Deployment\nspec:\n  template:\n    spec:\n"
        "      initContainers: [{image: init:1}]\n      containers: [{image: main:1, command: [=]}]\n---\n"
    )
    done = warm(
        *("--file", str(folder / "images.txt"), "--compose", str(folder / "compose.yaml")),
        *("--kubernetes", "-", "--json"),
        given=helm,
    )
    told = json.loads(done.stdout)
    assert (done.returncode, told["state"], told["images"], told["warmed"]) == (0, "done", 5, 5)


def test_what_fails_is_named(cache: CacheProgram, upstream: FakeRegistry, warm: Warm) -> None:
    _publish(upstream, "library/one", "1")
    done = warm("one:1", "one:absent", "elsewhere.test/image")
    assert done.returncode == 1
    assert "failed: docker.io/library/one:absent: " in done.stderr
    assert (
        "failed: elsewhere.test/image:latest: elsewhere.test is not an upstream of this cache" in done.stderr
    )
    assert done.stdout == "warm 1 failed: 1 of 3 images are there, 2 failed\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "expected an image"),
        (("Not an image",), "'Not an image' names no image"),
        (("--platform", "amd64", "one"), "expected a platform such as linux/amd64"),
        (("--url", "http://127.0.0.1:9", "one"), "does the cache run there?"),
        (("--url", "cache.example", "one"), "expected a URL such as"),
        (("--token-file", "/absent", "one"), "see --token-file"),
        (("--file", "/absent"), "cannot be read"),
    ],
)
def test_what_cannot_be_ordered_exits_with_2(warm: Warm, arguments: tuple[str, ...], complaint: str) -> None:
    done = warm(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr


def test_a_wrong_token_is_told(cache: CacheProgram, warm: Warm, folder: Path) -> None:
    (folder / "token").write_text("a wrong one\n")
    done = warm("one", "--token-file", str(folder / "token"))
    assert (done.returncode, done.stderr) == (2, "Error: this token is not known here; see --token-file\n")


def test_a_warm_survives_the_sudden_end_of_the_cache(
    cache: CacheProgram, upstream: FakeRegistry, warm: Warm
) -> None:
    images = [
        upstream.content.add_image("library/app", str(n), layers=[bytes([n]) * 100_000]) for n in range(8)
    ]
    upstream.misbehave("blob", Fault(hang_after=50_000), containing=str(images[7].layers[0]))
    assert warm("--detach", *(f"app:{n}" for n in range(8))).stdout == "warm 1 has begun\n"
    wait_until(lambda: _call(cache, "/warms/1")["warmed"] == 7, "all images but one")
    wait_until(
        lambda: len(json.loads((cache.data / "entrepot.warms").read_bytes())["warms"][0]["done"]) == 7,
        "its file",
    )
    cache.signal(signal.SIGKILL)
    wait_until(lambda: not cache.running, "the end")
    upstream.behave()
    upstream.reset_counts()
    cache.start()
    wait_until(lambda: _call(cache, "/warms/1")["state"] == "done", "the end of the warm")
    told = _call(cache, "/warms/1")
    assert (told["images"], told["warmed"], told["failed"]) == (8, 8, 0)
    assert {request.target.split("/")[-1] for request in upstream.requests if request.kind == "blob"} == {
        str(images[7].layers[0])
    }


def test_a_sync_brings_new_tags_by_itself(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> None:
    for tag in ("1.0.0", "2.0.0", "nightly"):
        upstream.content.add_image("team/app", tag, layers=[tag.encode()])
    upstream.content.add_image("other/app", "1.0.0", layers=[b"other"])
    sync = {
        "name": "versions",
        "upstream": "docker.io",
        "repositories": ["team/*"],
        "semver": ">=1 <2",
        "poll_interval": "10s",
    }
    cache = launch(CacheProgram(folder / "cache", {"docker.io": upstream.url}, sync=[sync]))
    wait_until(
        lambda: bool(_call(cache, "/warms")) and _call(cache, "/warms")[0]["state"] == "done", "the first run"
    )
    newer = upstream.content.add_image("team/app", "1.1.0", layers=[b"1.1.0"])
    wait_until(lambda: upstream.count("blob", containing=str(newer.layers[0])) > 0, "the next run")
    wait_until(lambda: _call(cache, "/warms")[0]["images"] == 2, "its tags")
    assert upstream.count("catalog") >= 2  # On a slow machine it is time for a third run by now.
    assert {warm["origin"] for warm in _call(cache, "/warms")} == {"sync versions"}
    asked = {request.target for request in upstream.requests if request.kind == "manifest"}
    assert {target.split("/")[-1] for target in asked} == {"1.0.0", "1.1.0"}
