from __future__ import annotations

import pytest

from entrepot.policy.access import PullRules, may_pull, may_send_credential, registrable_domain


@pytest.mark.parametrize(
    ("allow", "deny", "name", "may"),
    [
        ((), (), "library/alpine", True),
        (("library/*",), (), "library/alpine", True),
        (("library/*",), (), "library/a/b", True),
        (("library/*",), (), "evil/alpine", False),
        (("library/*",), (), "my/library/alpine", False),
        (("library/*",), (), "Library/alpine", False),
        (("a/*", "b/*"), (), "b/c", True),
        ((), ("evil/*",), "evil/miner", False),
        ((), ("evil/*",), "good/one", True),
        (("*",), ("evil/*",), "evil/miner", False),
        (("library/[a-c]*",), (), "library/debian", False),
    ],
)
def test_a_repository_may_be_pulled_if_allowed_and_not_denied(
    allow: tuple[str, ...], deny: tuple[str, ...], name: str, *, may: bool
) -> None:
    assert may_pull(PullRules(allow, deny), name) is may


@pytest.mark.parametrize(
    ("endpoint", "realm"),
    [
        ("https://registry-1.docker.io", "https://auth.docker.io/token"),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"),
        ("https://ghcr.io", "https://ghcr.io/token"),
        ("https://GHCR.io/v2", "https://ghcr.IO./token"),
        ("https://registry.example:5000", "https://registry.example:5001/auth"),
        ("https://r.example.co.uk", "https://auth.example.co.uk/"),
        ("https://r.azurecr.io", "https://r.azurecr.io/oauth2/token"),
        ("http://10.0.0.1:5000", "http://10.0.0.1:5001/token"),
        ("http://localhost:5000", "http://localhost:5001/token"),
        ("https://localhost:5000", "http://localhost:5001/token"),
        ("https://127.0.0.1:5000", "http://127.0.0.1:5001/token"),
        ("http://[::1]:5000", "http://[::1]:5001/token"),
        ("http://registry:5000", "http://registry/token"),
        ("http://registry.example", "https://auth.registry.example/token"),
        ("https://a.example.com", "https://b.example.com/token?account=me@example.com"),
    ],
)
def test_a_credential_goes_to_its_own_party(endpoint: str, realm: str) -> None:
    assert may_send_credential(endpoint, realm)


@pytest.mark.parametrize(
    ("endpoint", "realm"),
    [
        ("https://registry-1.docker.io", "https://auth.evil.io/token"),
        ("https://registry-1.docker.io", "https://docker.io.evil.com/token"),
        ("https://registry-1.docker.io", "https://evildocker.io/token"),
        ("https://registry-1.docker.io", "https://io/token"),
        ("https://registry-1.docker.io", "http://auth.docker.io/token"),
        ("https://registry-1.docker.io", "http://registry-1.docker.io/token"),
        ("https://registry-1.docker.io", "https://auth.docker.io@evil.com/token"),
        ("https://registry-1.docker.io", "https://evil.com@auth.docker.io/token"),
        ("https://registry-1.docker.io", "https://auth.docker.io\\.evil.com/token"),
        ("https://registry-1.docker.io", "https://auth.docker.io /token"),
        ("https://registry-1.docker.io", "https://evil.com\\@auth.docker.io/token"),
        ("https://registry-1.docker.io", "https://evil.com\\.auth.docker.io/token"),
        ("https://registry-1.docker.io", "https://evil.com\t.docker.io/token"),
        ("https://registry-1.docker.io", "https://evil.com%2f.docker.io/token"),
        ("https://registry-1.docker.io", "https://evil.com#.docker.io"),
        ("https://registry-1.docker.io", "https://evil.com?.docker.io"),
        ("https://registry-1.docker.io", "https://auth.docker.io:99999/"),
        ("https://registry-1.docker.io", "//auth.docker.io/token"),
        ("https://registry-1.docker.io", "/token"),
        ("https://registry-1.docker.io", ""),
        ("https://registry-1.docker.io", "ftp://auth.docker.io/token"),
        ("https://registry-1.docker.io", "https:///token"),
        ("https://registry-1.docker.io", "https://[::1/token"),
        ("https://registry-1.docker.io", "https://auth.d\u00f6cker.io/token"),
        ("", "https://auth.docker.io/token"),
        ("https://r.example.co.uk", "https://evil.co.uk/"),
        ("https://example.co.uk", "https://co.uk/"),
        ("https://one.azurecr.io", "https://two.azurecr.io/token"),
        ("https://1.dkr.ecr.eu-west-1.amazonaws.com", "https://evil.s3.amazonaws.com/"),
        ("https://1.dkr.ecr.cn-north-1.amazonaws.com.cn", "https://evil.s3.amazonaws.com.cn/"),
        ("http://10.0.0.1:5000", "http://10.1.0.1/token"),
        ("http://[::1]:5000", "http://[::2]:5000/token"),
        ("http://registry:5000", "http://other:5000/token"),
        ("https://localhost:5000", "http://127.0.0.1.evil.com/token"),
    ],
)
def test_a_credential_goes_to_nobody_else(endpoint: str, realm: str) -> None:
    assert not may_send_credential(endpoint, realm)


@pytest.mark.parametrize(
    ("realm", "may"),
    [
        ("https://auth.elsewhere.example/token", True),
        ("https://AUTH.elsewhere.example:8443/token", True),
        ("https://ports.example:8443/token", True),
        ("https://ports.example:9443/token", False),
        ("https://elsewhere.example/token", False),
        ("http://auth.elsewhere.example/token", False),
    ],
)
def test_a_listed_host_may_have_it_but_not_in_clear_text(realm: str, *, may: bool) -> None:
    listed = ("Auth.elsewhere.example", "ports.example:8443")
    assert may_send_credential("https://registry-1.docker.io", realm, listed) is may


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("registry-1.docker.io", "docker.io"),
        ("docker.io", "docker.io"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("a.example.com.au", "example.com.au"),
        ("co.uk", None),
        ("localhost", None),
        ("10.0.0.1", None),
        ("[::1]", None),
        ("a..b", None),
        ("x.azurecr.io", None),
        ("azurecr.io", None),
        ("", None),
    ],
)
def test_the_registrable_domain_is_what_one_party_registered(host: str, domain: str | None) -> None:
    assert registrable_domain(host) == domain
