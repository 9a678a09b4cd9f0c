"""The commands that look: tables for people, JSON and exit codes for scripts."""

from __future__ import annotations

import asyncio
import json
import os
from importlib.metadata import version

import pytest
from tests.e2e.commands.conftest import AMD, ARM, Desk

from entrepot.testing.registry_wire import Fault
from entrepot.testing.waiting import wait_until


def test_status_tells_that_the_cache_is_up_and_what_it_holds(desk: Desk) -> None:
    desk.pulled("library/held")
    lines = desk.lines("status")
    assert lines[0] == f"entrepot {version('entrepot')} at {desk.cache.url} is ready"
    names = [line.split()[0] for line in lines[1:]]
    assert names[:4] == ["holds", "hits", "saved", "upstreams"]
    (status,) = desk.rows("status")
    assert (status["status"], len(status["upstreams"])) == ("ready", 2)
    assert status["cache"]["held"] > 0


def test_status_names_an_upstream_that_is_down_and_a_rate_limit_that_runs_out(desk: Desk) -> None:
    def failures() -> list[str]:
        """Ask until the breaker has had enough; it may ask again at any time."""
        assert desk.pull("quay.test/any/thing/manifests/1") in (502, 503)
        return [line for line in desk.lines("status") if "it is down, and asked again in " in line]

    wait_until(lambda: "accepts no connections" in "".join(failures()), "the upstream is down")
    told = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "7;w=21600"}
    desk.registry.content.add_image("library/limited", "1")
    desk.registry.misbehave("manifest", Fault(headers=told), containing="limited")
    assert desk.pull("library/limited/manifests/1") == 200
    desk.registry.behave()
    assert any(line.startswith("! docker.io: 7 of 100 left") for line in desk.lines("status"))


def test_upstreams_are_told_all_or_one_with_its_endpoints(desk: Desk) -> None:
    lines = desk.lines("upstreams")
    assert [line.split()[0] for line in lines] == ["UPSTREAM", "docker.io", "quay.test"]
    assert lines[0].endswith("REASON")
    assert "http://127.0.0.1:9" in "\n".join(desk.lines("upstreams", "quay.test"))
    assert [row["name"] for row in desk.rows("upstreams", "quay.test")] == ["quay.test"]
    absent = desk.run("upstreams", "absent.test")
    assert (absent.exit_code, absent.stdout) == (1, "")
    assert absent.stderr == "Error: absent.test is not an upstream of this cache\n"


def test_a_tested_upstream_that_does_not_answer_is_told_by_the_exit_code(desk: Desk) -> None:
    assert desk.rows("upstreams", "docker.io", "--test")[0]["outcome"] == "ok"
    both = desk.run("upstreams", "--test")
    assert both.exit_code == 1
    assert [line.split()[2] for line in both.stdout.splitlines()] == ["OUTCOME", "ok", "error"]


def test_images_are_sorted_searched_and_cut(desk: Desk) -> None:
    desk.pulled("sorted/small", layers=(b"s",))
    desk.pulled("sorted/large", layers=(b"l" * 9000,))
    assert [line.split()[0] for line in desk.lines("images", "--search", "sorted/")] == [
        "REPOSITORY",
        "docker.io/sorted/large",
        "docker.io/sorted/small",
    ]
    by_size = desk.rows("images", "docker.io", "--search", "sorted/", "--sort", "size", "--limit", "1")
    assert [(row["repository"], row["tags"]) for row in by_size] == [("docker.io/sorted/large", 1)]
    nothing = desk.run("images", "quay.test")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert nothing.stderr == "nothing that was asked for is cached\n"
    unknown = desk.run("images", "absent.test")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "absent.test is not an upstream of this cache" in unknown.stderr


def test_tags_are_listed_with_what_they_mean(desk: Desk) -> None:
    image = desk.pulled("library/tagged", "2")
    lines = desk.lines("tags", "tagged")
    assert lines[1].split()[:2] == ["2", str(image.digest)]
    assert desk.rows("tags", "docker.io/library/tagged")[0]["digest"] == str(image.digest)
    absent = desk.run("tags", "library/none")
    assert (absent.exit_code, absent.stderr) == (1, "no tag of library/none is cached\n")
    sought = desk.run("tags", "library/none", "--search", "1")
    assert sought.stderr == "no such tag of library/none is cached\n"


def test_inspect_shows_what_an_image_is_made_of(desk: Desk) -> None:
    config = json.dumps(
        {
            "os": "linux",
            "architecture": "arm64",
            "created": "2026-01-01T00:00:00Z",
            "config": {"Cmd": ["sh", "-c", "echo a b"], "Env": ["A=\x1b[31mred"], "Labels": {"who": "me"}},
            "history": [{"created_by": "ADD all"}, {"created_by": "CMD sh", "empty_layer": True}],
        }
    ).encode()
    image = desk.registry.content.add_image("team/app", "1", layers=[b"a" * 1234], config=config)
    desk.registry.content.add_image("team/app", "sig", subject=image.digest)
    assert desk.pull("team/app/manifests/1") == desk.pull(f"team/app/blobs/{image.config}") == 200
    wait_until(lambda: desk.rows("inspect", "team/app:1")[0]["image"] is not None, "the config")
    text = "\n".join(desk.lines("inspect", "docker.io/team/app:1"))
    for part in (
        f"docker.io/team/app@{image.digest}\n",
        f"\nlayers\nDIGEST{' ' * 67}SIZE    WHAT\n{image.layers[0]}  1.2 kB  application/vnd.oci.image.layer",
        "platform  linux/arm64\n",
        "command   sh -c 'echo a b'\n",
        "\nenvironment\n  A=\\x1b[31mred\n",
        "\nlabels\n  who  me\n",
        "\nhistory\n  ADD all\n  CMD sh (no layer)",
        "\nreferrers\n",
    ):
        assert part in text
    (told,) = desk.rows("inspect", f"team/app@{image.digest}")
    assert len(told["referrers"]) == 1


def test_inspect_finds_the_platform_of_an_image_that_is_for_one_alone(desk: Desk) -> None:
    config = b'{"os":"linux","architecture":"arm64"}'
    image = desk.registry.content.add_image("team/single", "1", config=config)
    assert desk.pull("team/single/manifests/1") == desk.pull(f"team/single/blobs/{image.config}") == 200
    wait_until(lambda: desk.rows("inspect", "team/single:1")[0]["image"] is not None, "the config")
    assert desk.lines("inspect", "team/single:1", "--platform", ARM)[0].endswith(f"@{image.digest}")
    absent = desk.run("inspect", "team/single:1", "--platform", AMD)
    assert (absent.exit_code, absent.stdout) == (1, "")
    assert absent.stderr == f"Error: there is no {AMD} among its platforms: {ARM}\n"


def test_a_digest_alone_is_not_taken_for_a_tag(desk: Desk) -> None:
    digest = f"sha256:{'0' * 64}"
    result = desk.run("inspect", digest)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"expected its repository as well, as in NAME@{digest}" in result.stderr


def test_inspect_looks_into_the_image_of_one_platform(desk: Desk) -> None:
    images = {
        platform: desk.registry.content.add_image("team/many", layers=[platform.encode()])
        for platform in (AMD, ARM)
    }
    desk.registry.content.add_index("team/many", "1", images)
    assert desk.pull("team/many/manifests/1") == 200
    assert desk.pull(f"team/many/manifests/{images[ARM].digest}") == 200
    told = "\n".join(desk.lines("inspect", "team/many:1"))
    assert f"{images[AMD].digest}" in told
    assert f"{AMD}, not cached" in told
    assert f"{ARM}, cached in part" in told
    assert desk.lines("inspect", "team/many:1", "--platform", ARM)[0].endswith(f"@{images[ARM].digest}")
    absent = desk.run("inspect", "team/many:1", "--platform", "linux/s390x")
    assert (absent.exit_code, absent.stdout) == (1, "")
    assert absent.stderr == "Error: there is no linux/s390x among its platforms: linux/amd64, linux/arm64\n"


def test_running_fills_are_shown_with_their_progress(desk: Desk) -> None:
    hold = asyncio.Event()

    async def let_go() -> None:
        hold.set()

    image = desk.registry.content.add_image("library/slow", "1", layers=[bytes(3_000_000)])
    desk.registry.misbehave("blob", Fault(hang_after=1_500_000, hold=hold), containing=str(image.layers[0]))
    assert desk.pull("library/slow/manifests/1") == 200
    desk.run("warm", "slow:1", "--detach")
    wait_until(lambda: any(fill["received"] == 1_500_000 for fill in desk.rows("fills")), "half of it")
    (line,) = [line for line in desk.lines("fills") if str(image.layers[0]) in line]
    told = " ".join(line.split())  # The config may be on its way as well, and make a column wider.
    assert told.startswith(f"docker.io/library/slow {image.layers[0]} 50.0 % 1.5 MB of 3.0 MB")
    desk.registry.from_thread(let_go())
    wait_until(lambda: not desk.rows("fills"), "its end")
    desk.registry.behave()
    idle = desk.run("fills")
    assert (idle.exit_code, idle.stdout, idle.stderr) == (0, "", "nothing is being downloaded\n")


def test_events_are_those_of_the_level_and_the_word_the_newest_last(desk: Desk) -> None:
    numbers = [event["number"] for event in desk.rows("events")]
    assert numbers == sorted(numbers)
    (listening,) = desk.lines("events", "--event", "listening")
    assert " info     listening addresses=" in listening
    nothing = desk.run("events", "--level", "critical")
    assert (nothing.exit_code, nothing.output) == (0, "the log has no such event\n")


def test_the_audit_log_is_asked_by_repository_event_and_time(desk: Desk) -> None:
    image = desk.pulled("library/watched")
    asked = ("audit", "--repository", "docker.io/library/watched", "--since", "1h")
    wait_until(lambda: len(desk.rows(*asked)) == 3, "three entries")
    lines = desk.lines(*asked)
    assert " GET /v2/library/watched/manifests/1 200 miss " in lines[0]
    assert str(image.layers[0]) in lines[2]
    for filters, sought in (
        (("--event", "action"), "action"),
        (("--caller", "10.9.8.7"), "pull or action"),
        (("--event", "any", "--until", "2020-01-01T00:00:00Z"), "entry"),
    ):
        nothing = desk.run(*asked, *filters)
        assert nothing.exit_code == 0
        assert nothing.output.startswith(f"the audit log has no {sought} with ")
        assert "repository docker.io/library/watched" in nothing.output
    assert len(desk.rows(*asked, "--limit", "2")) == 2


def test_the_audit_log_shows_pulls_and_actions_unless_all_is_asked_for(desk: Desk) -> None:
    desk.pulled("library/audited")
    desk.lines("refresh", "audited:1")
    wait_until(lambda: len(desk.rows("audit", "--repository", "audited")) == 4, "the pull and the action")
    usual = desk.rows("audit")
    assert [row for row in usual if not row.get("path", "/v2/").startswith("/v2/")] == []
    assert "refresh" in {row.get("action") for row in usual}
    assert all(row["event"] == "request" for row in desk.rows("audit", "--event", "pull"))
    everything = {row.get("path") for row in desk.rows("audit", "--event", "any", "--limit", "500")}
    assert {"/readyz", "/api/v1/tags/1/refresh"} <= {str(path) for path in everything}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ("audit", "--since", "yesterday"),
            "expected a time, as 2026-01-31T12:00:00Z, or how long ago, as 1h",
        ),
        (("audit", "--since", "999999999w"), "expected a time"),
        (("inspect", "Not an image"), "names no image"),
        (("inspect", "nginx:1.*"), "expected one tag or digest, found the pattern '1.*'"),
        (("tags", "UPPER"), "expected a repository, as in docker.io/library/alpine"),
        (("images", "--sort", "colour"), "is not one of"),
        (("images", "--limit", "0"), "0 is not in the range"),
        (("jobs", "collect", "--wait"), "--wait goes with --run"),
        (("warm", "BAD NAME"), "'BAD NAME' names no image"),
        (("warm", "app", "--platform", "arm64"), "arm64"),
        (("warm", "--file", os.devnull), f"and {os.devnull} names none"),
    ],
)
def test_wrong_usage_exits_with_2(desk: Desk, arguments: tuple[str, ...], complaint: str) -> None:
    result = desk.run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert complaint in result.stderr
