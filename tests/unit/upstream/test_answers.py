from __future__ import annotations

import pytest

from entrepot.errors import (
    BlobNotHere,
    EntrepotError,
    RateLimited,
    Refused,
    RepositoryNotHere,
    UpstreamDown,
)
from entrepot.upstream.answers import Failed, RateLimit, content_length, failure, rate_limit, retry_after

NOW = 1_700_000_000.0


def _failed(status: int, body: bytes = b"", **headers: str) -> Failed:
    return Failed(status, headers, body, "a.test", "app/blobs/x", BlobNotHere)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("99999999", 86400),
        ("9" * 400, None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0),
        ("Tue, 99 Nov 2023 22:13:10 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"", Refused),
        (403, b"", Refused),
        (405, b"", Refused),
        (404, b"", BlobNotHere),
        (410, b"", BlobNotHere),
        (404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}', RepositoryNotHere),
        (404, b'{"errors":[]}', BlobNotHere),
        (404, b'{"errors":[{"code":7}]}', BlobNotHere),
        (404, b"\xff", BlobNotHere),
        (429, b"", RateLimited),
        (400, b"", UpstreamDown),
        (500, b"", UpstreamDown),
        (304, b"", UpstreamDown),
    ],
)
def test_a_status_is_a_failure_by_name(status: int, body: bytes, kind: type[EntrepotError]) -> None:
    assert type(failure(_failed(status, body), NOW, has_credential=False)) is kind


def test_a_refusal_tells_what_to_do_and_what_the_registry_says() -> None:
    body = b'{"errors":[{"code":"DENIED","message":"pull access denied"}]}'
    stranger = str(failure(_failed(403, body), NOW, has_credential=False))
    robot = str(failure(_failed(403, body), NOW, has_credential=True))
    assert "app/blobs/x at a.test" in stranger
    assert "it may need username and password" in stranger
    assert stranger.endswith("pull access denied")
    assert "the configured credential may not read it" in robot


@pytest.mark.parametrize(("text", "length"), [("0", 0), ("17", 17), ("-1", None), ("1e3", None), ("", None)])
def test_a_length_is_a_natural_number(text: str, length: int | None) -> None:
    assert content_length({"content-length": text}) == length


@pytest.mark.parametrize(
    ("limit", "remaining", "told"),
    [
        ("100;w=21600", "76;w=21600", RateLimit(100, 76, 21600.0)),
        ("100", "0", RateLimit(100, 0)),
        ("100;w=21600", "", None),
        ("many", "few", None),
    ],
)
def test_the_rate_limit_is_read_as_docker_hub_writes_it(
    limit: str, remaining: str, told: RateLimit | None
) -> None:
    assert rate_limit({"ratelimit-limit": limit, "ratelimit-remaining": remaining}, 5.0) == told


@pytest.mark.parametrize(
    ("reset", "resets_at"), [("1609844400", 1609844400.0), ("60", 65.0), ("soon", None), ("-1", None)]
)
def test_the_end_of_the_window_is_read_by_the_epoch_or_in_seconds(
    reset: str, resets_at: float | None
) -> None:
    headers = {"ratelimit-limit": "60", "ratelimit-remaining": "59", "ratelimit-reset": reset}
    assert rate_limit(headers, 5.0) == RateLimit(60, 59, None, resets_at)
