from __future__ import annotations

import pytest

from entrepot.oci.challenge import Challenge, parse_challenges

HUB = {
    "realm": "https://auth.docker.io/token",
    "service": "registry.docker.io",
    "scope": "repository:library/alpine:pull,push",
}


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("Basic", [Challenge("basic")]),
        ('Basic realm="Registry"', [Challenge("basic", {"realm": "Registry"})]),
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull,push"',
            [Challenge("bearer", HUB)],
        ),
        (
            'BEARER  Realm = "https://auth.docker.io/token" , SERVICE="registry.docker.io",  scope="repository:library/alpine:pull,push",',
            [Challenge("bearer", HUB)],
        ),
        (
            "Bearer realm=https://a.example/token,service=a",
            [Challenge("bearer", {"realm": "https://a.example/token", "service": "a"})],
        ),
        (
            'Bearer realm="a" error="invalid_token"',
            [Challenge("bearer", {"realm": "a", "error": "invalid_token"})],
        ),
        (r'Basic realm="a \"quoted\" \\ name"', [Challenge("basic", {"realm": r'a "quoted" \ name'})]),
        ('Basic realm="never closed', [Challenge("basic", {"realm": "never closed"})]),
        ('Basic realm=""', [Challenge("basic", {"realm": ""})]),
        ('Bearer realm="first",realm="second"', [Challenge("bearer", {"realm": "first"})]),
        ("Negotiate", [Challenge("negotiate")]),
        ("Negotiate YWJj+/==", [Challenge("negotiate", {}, "YWJj+/==")]),
        (
            'Negotiate YWJj==, Basic realm="a", Bearer realm="b",service="c"',
            [
                Challenge("negotiate", {}, "YWJj=="),
                Challenge("basic", {"realm": "a"}),
                Challenge("bearer", {"realm": "b", "service": "c"}),
            ],
        ),
        (
            'Negotiate, NTLM, Basic realm="a, b"',
            [Challenge("negotiate"), Challenge("ntlm"), Challenge("basic", {"realm": "a, b"})],
        ),
    ],
)
def test_challenges_are_read(header: str, challenges: list[Challenge]) -> None:
    assert parse_challenges([header]) == challenges


@pytest.mark.parametrize(
    ("header", "schemes"),
    [
        ("", []),
        (",,, ,", []),
        ('"', []),
        ("=", []),
        ('realm="nobody\'s"', []),
        ('@@@, Basic realm="a"', ["basic"]),
        ('Bearer realm=, Basic realm="a"', ["bearer", "basic"]),
        ('Basic realm="a", \x00\xff, Bearer realm="b"', ["basic", "bearer"]),
    ],
)
def test_what_cannot_be_read_is_passed_over(header: str, schemes: list[str]) -> None:
    assert [challenge.scheme for challenge in parse_challenges([header])] == schemes


def test_several_headers_are_read_in_order() -> None:
    challenges = parse_challenges(['Bearer realm="a"', 'Basic realm="b"'])
    assert challenges == [Challenge("bearer", {"realm": "a"}), Challenge("basic", {"realm": "b"})]
    assert parse_challenges([]) == []
