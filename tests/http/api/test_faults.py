from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct
from tests.http.api.conftest import TOKEN, Office, problem

from entrepot.http.api import forms
from entrepot.http.api.faults import Fault, fault_in
from entrepot.http.server.limits import Limits

TOO_LONG = "x" * 5000
METHODS = {"get", "post", "delete"}


BODIES: list[tuple[str, Any, str | None, str]] = [
    ("/purge", None, None, "missing: expected an object with repositories"),
    ("/purge", {}, "repositories", "missing: expected a name or a pattern of names, as library/*"),
    ("/purge", {"repositories": "app", "tag": "1"}, "tag", "expected one of repositories, upstream, tags"),
    ("/pins", {"pattern": "app"}, "upstream", "missing: expected an upstream, as docker.io"),
    ("/pins", {"upstream": "docker.i", "pattern": "app"}, "upstream", "did you mean docker.io?"),
    ("/pins", {"upstream": "docker.io", "pattern": "a b"}, "pattern", 'as library/postgres:16*, found "a b"'),
    ("/warms", {"images": []}, "images", "expected a list of at least 1, found a list of 0"),
    ("/warms", {"images": ["a", "Not one"]}, "images[1]", "expected an image, as alpine:3.20"),
    ("/warms", {"images": ["a"], "platforms": ["arm"]}, "platforms[0]", 'linux/arm64/v8, found "arm"'),
]
ABSENT = [
    ("/nothing", "GET", 404, "nothing is at /api/v1/nothing: /api/v1/docs tells"),
    ("/warms/first", "GET", 404, "nothing is at /api/v1/warms/first"),
    ("/cache", "POST", 405, "POST is not for /api/v1/cache"),
    ("/upstreams/docker.i", "GET", 404, "docker.i is not an upstream of this cache; did you mean docker.io?"),
    ("/jobs/flush-use", "GET", 404, "there is no job flush-use; did you mean flush-uses?"),
]


class Body(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(extra={"words": "a name, as app"})]
    tags: Annotated[list[Annotated[str, Meta(pattern=forms.TAG, max_length=9)]], Meta(max_length=2)] = []
    is_deep: bool | None = None


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        ("x", Annotated[int, Meta(ge=1, le=9)], 'expected a whole number from 1 to 9, found "x"'),
        ("-1", Annotated[int, Meta(ge=0)] | None, 'expected a whole number, at least 0, found "-1"'),
        ("maybe", bool, 'expected true or false, found "maybe"'),
        ("c", Literal["a", "b"], 'expected one of a, b, found "c"'),
        (
            "c",
            Literal["a", "-a", "b", "-b"],
            'expected one of a, b, or one with - before it, for the greatest first, found "c"',
        ),
        ("today", datetime | None, 'expected a time, as 2026-01-31T12:00:00Z, found "today"'),
        ("-", Annotated[str, Meta(pattern=forms.TAG)], 'expected a tag, as 3.20 or latest, found "-"'),
        (
            "y" * 61,
            Annotated[str, Meta(max_length=60)],
            f'expected text, 60 characters at most, found "{"y" * 60}...", 61 characters',
        ),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(value: str, annotation: Any, message: str) -> None:
    assert fault_in(value, annotation, "it") == Fault(message, "it")


@pytest.mark.parametrize(
    ("body", "key", "message"),
    [
        ([], None, "expected an object with name, and if wanted tags, is_deep, found a list of 0"),
        ({}, "name", "missing: expected a name, as app"),
        ({"name": 1}, "name", "expected a name, as app, found 1"),
        ({"name": None}, "name", "expected a name, as app, found null"),
        ({"name": "a", "tag": "b"}, "tag", "unknown: expected one of name, tags, is_deep"),
        ({"name": "a", "tags": "b"}, "tags", 'expected a list, found "b"'),
        ({"name": "a", "tags": ["b"] * 3}, "tags", "expected a list, 2 of them at most, found a list of 3"),
        ({"name": "a", "tags": ["b", "-"]}, "tags[1]", 'expected a tag, as 3.20 or latest, found "-"'),
        ({"name": "a", "is_deep": {}}, "is_deep", "expected true or false, found an object"),
    ],
)
def test_a_wrong_member_is_named_by_its_place(body: Any, key: str | None, message: str) -> None:
    assert fault_in(body, Body) == Fault(message, key)


def test_what_is_right_has_no_fault() -> None:
    assert fault_in({"name": "a", "tags": ["1.0"]}, Body) is None


async def test_every_parameter_that_is_refused_is_named_with_what_was_expected(office: Office) -> None:
    described = msgspec.json.decode((await office.ask("/api/v1/docs/openapi.json")).body)
    tried = 0
    for path, method, operation in _operations(described):
        queries = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
        needed = {one["name"]: _right(one["name"]) for one in queries if one["required"]}
        for one in queries:
            if (wrong := _wrong(one["schema"])) is not None:
                query = "&".join(f"{name}={value}" for name, value in {**needed, one["name"]: wrong}.items())
                await _assert_told(office, method, f"{path}?{query}", one["name"], "found ")
                tried += 1
        for name in needed:
            query = "&".join(f"{other}={value}" for other, value in needed.items() if other != name)
            await _assert_told(office, method, f"{path}?{query}", name, "missing: ")
    assert tried > 40


async def _assert_told(office: Office, method: str, path: str, key: str, part: str) -> None:
    reply = await office.call(path, method)
    assert reply.status == 400, (method, path)
    details = problem(reply)
    assert key in details["detail"]
    (message,) = [fault["message"] for fault in details["errors"] if fault["key"] == key]
    assert "expected " in message, message
    assert part in message, message


def _operations(described: Any) -> Iterator[tuple[str, str, Any]]:
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if method in METHODS:
                named = path.removeprefix("/api/v1").replace("{digest}", f"sha256:{'0' * 64}")
                named = named.replace("{number}", "1")
                yield named.replace("{", "").replace("}", ""), method.upper(), operation


def _right(name: str) -> str:
    return "docker.io/library/app" if name == "repository" else name


def _wrong(schema: Any) -> str | None:
    """Return what a schema forbids, if there is such text."""
    shapes = [shape for shape in schema.get("oneOf", [schema]) if shape.get("type") != "null"]
    if all(shape.get("type") == "string" and shape.keys() <= {"type"} for shape in shapes):
        return None
    return TOO_LONG


async def test_a_wrong_body_is_told_by_member(office: Office) -> None:
    for path, body, key, part in BODIES:
        reply = await office.call(path, "POST", body)
        assert reply.status == 400
        ((named, message),) = [(fault["key"], fault["message"]) for fault in problem(reply)["errors"]]
        assert (named, part in message) == (key, True), message


async def test_what_is_no_json_is_told(office: Office) -> None:
    headers = {"Authorization": f"Bearer {TOKEN.reveal()}", "Content-Type": "application/json"}
    reply = await office.ask("/api/v1/purge", "POST", headers, b"repositories=app")
    (fault,) = problem(reply)["errors"]
    assert "as JSON, and it is none" in fault["message"]


@pytest.mark.parametrize("before", [b"", b'{"repositories":', b'{"tags":['])
async def test_a_body_that_is_nested_too_deeply_is_refused(office: Office, before: bytes) -> None:
    headers = {"Authorization": f"Bearer {TOKEN.reveal()}", "Content-Type": "application/json"}
    reply = await office.ask("/api/v1/purge", "POST", headers, before + b"[" * 100_000)
    assert reply.status == 400
    (fault,) = problem(reply)["errors"]
    expected = "expected an object with repositories, and if wanted upstream, tags"
    assert fault["message"].startswith(expected)
    assert "nested too deeply" in fault["message"]


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({}, b" " * (Limits().body_bytes + 4096), 413),
        ({"Transfer-Encoding": "chunked"}, b"1\r\n{\r\nnonsense\r\n", 400),
    ],
)
async def test_a_body_that_the_server_reads_no_further_is_the_clients_fault(
    office: Office, headers: dict[str, str], content: bytes, status: int
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN.reveal()}", "Content-Type": "application/json", **headers}
    assert (await office.ask("/api/v1/purge", "POST", headers, content)).status == status


async def test_what_is_not_there_is_told_with_what_is(office: Office) -> None:
    for path, method, status, part in ABSENT:
        reply = await office.call(path, method)
        assert reply.status == status
        assert part in problem(reply)["detail"]
