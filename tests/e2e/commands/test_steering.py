"""The commands that change something: what they tell, what they ask, and what they leave alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest
from rich.filesize import decimal
from tests.e2e.commands.conftest import Desk

from entrepot.oci.digest import Digest
from entrepot.storage.layout import blob_path

Background = Callable[[subprocess.Popen[bytes]], subprocess.Popen[bytes]]


def test_refresh_tells_whether_a_tag_has_moved(desk: Desk) -> None:
    first = desk.pulled("library/moving")
    assert desk.lines("refresh", "moving:1") == [f"docker.io/library/moving:1 unchanged, {first.digest}"]
    moved = desk.registry.content.add_image("library/moving", "1", layers=[b"newer"])
    assert desk.lines("refresh", "moving:1") == [f"docker.io/library/moving:1 moved to {moved.digest}"]


def test_refresh_goes_on_after_one_that_fails_and_names_it(desk: Desk) -> None:
    image = desk.registry.content.add_image("library/fresh", "1")
    result = desk.run("refresh", "absent:1", "fresh:1")
    assert result.exit_code == 1
    assert result.stderr.startswith("failed: absent:1: library/absent/manifests/1 at ")
    assert result.stdout == f"docker.io/library/fresh:1 pulled, {image.digest}\n"


def test_a_warm_whose_pattern_matches_no_tag_is_told(desk: Desk) -> None:
    desk.registry.content.add_image("library/patterned", "1")
    result = desk.run("warm", "patterned:9*")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no tag matches, nothing is fetched" in result.stderr


def test_refresh_refuses_what_cannot_change(desk: Desk) -> None:
    result = desk.run("refresh", f"app@sha256:{'0' * 64}")
    assert result.exit_code == 2
    assert "what a digest means never changes" in result.stderr


def test_purge_needs_a_yes_where_nobody_can_be_asked(desk: Desk) -> None:
    for name in ("library/sharing", "library/kept"):  # The layer of both stays, whoever else pulled it.
        desk.pulled(name)
    result = desk.run("purge", "kept")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "would go: 1 repository, 1 tag, 1 manifest, 1 blob, 12 B\n" in result.stderr
    assert "say --yes, or look first with --dry-run" in result.stderr
    assert desk.lines("purge", "kept", "--dry-run") == [
        "docker.io/library/kept:1",
        "would go: 1 repository, 1 tag, 1 manifest, 1 blob, 12 B",
    ]
    assert len(desk.rows("tags", "kept")) == 1


def test_purge_lets_go_of_what_matches_and_no_more(desk: Desk) -> None:
    for tag in ("1", "nightly-1", "nightly-2"):
        desk.pulled("team/purged", tag)
    by_tags = desk.lines("purge", "team/p*:nightly-*", "--dry-run")
    assert by_tags[-1].startswith("would go: 2 tags, ")
    (report,) = desk.rows("purge", "team/p*:nightly-*", "--yes")
    assert (report["dry_run"], report["tags"]) == (False, 2)
    assert [row["tag"] for row in desk.rows("tags", "team/purged")] == ["1"]
    desk.lines("purge", "docker.io/team/purged", "--yes")
    assert desk.run("tags", "team/purged").exit_code == 1


@pytest.mark.parametrize(
    "arguments", [("none/*",), ("--upstream", "quay.test"), ("*/nothing", "--everywhere")]
)
def test_purging_nothing_is_told_by_the_exit_code(desk: Desk, arguments: tuple[str, ...]) -> None:
    result = desk.run("purge", *arguments, "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: nothing that is cached is named so\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "complaint"),
    [
        ((), 2, "expected an IMAGE, or an --upstream"),
        (("a", "--everywhere", "--upstream", "quay.test"), 2, "exclude each other"),
        ((f"a@sha256:{'0' * 64}",), 2, "expected a tag or a pattern of tags, found the digest of"),
        (("absent.test/a",), 1, "absent.test is not an upstream of this cache"),
    ],
)
def test_what_cannot_be_purged_is_told(
    desk: Desk, arguments: tuple[str, ...], exit_code: int, complaint: str
) -> None:
    result = desk.run("purge", *arguments, "--yes")
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert complaint in result.stderr


@pytest.mark.parametrize(("answer", "left", "exit_code"), [(b"n\n", 1, 1), (b"y\n", 0, 0)])
def test_purge_asks_on_a_terminal(
    desk: Desk, background: Background, answer: bytes, left: int, exit_code: int
) -> None:
    name = f"library/asked{left}"
    desk.pulled(name)
    terminal, end = os.openpty()
    process = background(desk.start("purge", name, stdin=end, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    os.write(terminal, answer)
    _, told = process.communicate(timeout=60)
    os.close(terminal)
    os.close(end)
    assert process.returncode == exit_code
    assert f"docker.io/{name}:1\nwould go: 1 repository".encode() in told
    assert len(desk.rows("images", "--search", name)) == left


def test_pins_are_set_listed_and_removed(desk: Desk) -> None:
    assert desk.run("pin").stderr == "nothing is pinned\n"
    assert desk.lines("pin", "postgres:16*", "docker.io/team/*") == [
        "docker.io/library/postgres:16* is pinned",
        "docker.io/team/* is pinned",
    ]
    assert desk.lines("pin", "library/postgres:16*") == ["docker.io/library/postgres:16* was pinned already"]
    assert [line.split()[:2] for line in desk.lines("pin")[1:]] == [
        ["docker.io/library/postgres:16*", "administrator"],
        ["docker.io/team/*", "administrator"],
    ]
    assert desk.rows("pin", "--upstream", "quay.test") == []
    assert desk.lines("unpin", "postgres:16*") == ["docker.io/library/postgres:16* is pinned no longer"]
    both = desk.run("pin", "--remove", "team/*", "absent")
    assert (both.exit_code, both.stdout) == (1, "docker.io/team/* is pinned no longer\n")
    desk.lines("pin", "twice")
    assert desk.rows("unpin", "twice") == [{"upstream": "docker.io", "pattern": "library/twice"}]
    assert both.stderr == "failed: upstream docker.io has no pin library/absent\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "complaint"),
    [
        (("pin", "absent.test/a"), 1, "absent.test is not an upstream of this cache"),
        (("pin", "two words"), 2, "pattern: expected a repository or repository:tag"),
        (("pin", f"a@sha256:{'0' * 64}"), 2, "found the digest of"),
        (("pin", "--remove"), 2, "expected an IMAGE that is pinned"),
        (("unpin",), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_pinned_is_told(
    desk: Desk, arguments: tuple[str, ...], exit_code: int, complaint: str
) -> None:
    result = desk.run(*arguments)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert complaint in result.stderr


def test_a_cache_verifies_its_own_content(desk: Desk) -> None:
    image = desk.pulled("library/verified", layers=(b"right", b"to be changed"))
    remote = ("verify", "--url", desk.cache.url, "docker.io/library/verified")
    size = decimal(34 + len(image.content))
    assert desk.lines(*remote) == [f"3 blobs, 1 manifest, {size}: nothing wrong; 0 failed"]
    (all_there_is,) = desk.lines("verify", "--url", desk.cache.url)
    assert (" 0 manifests" not in all_there_is, all_there_is.endswith("nothing wrong; 0 failed")) == (
        True,
        True,
    )
    (one,) = desk.lines("verify", "--url", desk.cache.url, str(image.digest))
    assert one.startswith("0 blobs, 1 manifest, ")
    (desk.cache.data / blob_path(image.layers[1])).write_bytes(b"it is changed")
    changed = desk.run(*remote)
    assert (changed.exit_code, changed.stdout.splitlines()[0]) == (3, f"dropped: blob {image.layers[1]}")
    absent = desk.run("verify", "--url", desk.cache.url, "docker.io/library/none", str(Digest.of(b"absent")))
    assert (absent.exit_code, absent.stdout.count("failed: nothing is kept of")) == (1, 2)


def test_verify_takes_one_cache_only(desk: Desk) -> None:
    result = desk.run("verify", "--url", desk.cache.url, "--data", str(desk.cache.data))
    assert (result.exit_code, "exclude each other" in result.stderr) == (2, True)


def test_jobs_are_listed_and_run(desk: Desk) -> None:
    lines = desk.lines("jobs")
    assert lines[0].split()[:3] == ["JOB", "RUNS", "STATE"]
    names = [job["name"] for job in desk.rows("jobs")]
    assert "collect" in names
    assert desk.lines("jobs", "collect")[0].startswith("collect: ")
    done = desk.rows("jobs", "collect", "--run", "--wait")
    assert (done[0]["running"], done[0]["last_outcome"]) == (False, "ok")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "complaint"),
    [
        (("jobs", "absent"), 1, "there is no job absent"),
        (("jobs", "absent", "--run"), 1, "there is no job absent"),
        (("jobs", "--run"), 2, "expected the NAME of a job to run"),
    ],
)
def test_what_is_no_job_is_told(
    desk: Desk, arguments: tuple[str, ...], exit_code: int, complaint: str
) -> None:
    result = desk.run(*arguments)
    assert (result.exit_code, result.stdout, complaint in result.stderr) == (exit_code, "", True)


def test_what_is_due_to_go_is_collected(desk: Desk) -> None:
    (line,) = desk.lines("collect")
    assert line.startswith("gone: ")
    (told,) = desk.rows("collect")
    assert told["reason"] is None
