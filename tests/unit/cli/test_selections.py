from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from entrepot.cli.api_client import ApiClient, NotDone
from entrepot.cli.selections import Selected, select


class _Cache(ApiClient):
    """Answers for its settings alone."""

    def __init__(self) -> None:
        super().__init__("http://cache.test", "token")

    def call(
        self, method: str, path: str, body: object = None, query: Mapping[str, object] | None = None
    ) -> Any:
        assert (method, path, body, query) == ("GET", "/settings", None, None)
        return {"upstreams": {"docker.io": {}, "intern": {}}, "default_upstream": "docker.io"}


@pytest.mark.parametrize(
    ("image", "selected"),
    [
        ("alpine", Selected("docker.io", "library/alpine", None)),
        ("team/*:1.*", Selected("docker.io", "team/*", "1.*")),
        ("index.docker.io/team/app", Selected("docker.io", "team/app", None)),
        ("intern/team/*", Selected("intern", "team/*", None)),
        ("intern/app:1", Selected("intern", "app", "1")),
        ("intern", Selected("docker.io", "library/intern", None)),
    ],
)
def test_content_is_selected_as_it_is_named_in_a_pull_or_listed(image: str, selected: Selected) -> None:
    assert select(_Cache(), image) == selected


def test_with_an_upstream_given_the_whole_name_is_of_it() -> None:
    assert select(_Cache(), "intern/app", "docker.io") == Selected("docker.io", "intern/app", None)


def test_an_upstream_that_is_none_is_told_with_those_that_are() -> None:
    with pytest.raises(NotDone, match=r"gone.test is not an upstream of this cache: docker.io, intern"):
        select(_Cache(), "gone.test/app")
