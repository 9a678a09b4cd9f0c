"""The API does what its own description says, whatever it is sent."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from entrepot.http.server import Limits
from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.programs import CacheProgram

Case = schemathesis.Case[Any]

# A parameter that nobody asked for is ignored, as everywhere on the web; and a wrong token costs a second.
IGNORED: list[Any] = [negative_data_rejection, ignored_auth]


@pytest.mark.timeout(600)
def test_every_answer_is_one_that_is_described(
    cache: CacheProgram, upstream: FakeRegistry, token: str
) -> None:
    image = upstream.content.add_image("library/app", "1")
    for path in ("manifests/1", f"blobs/{image.layers[0]}"):
        assert ask(cache.url, f"/v2/library/app/{path}").status == 200
    description = schemathesis.openapi.from_url(f"{cache.url}/api/v1/docs/openapi.json")
    operations = [found.ok() for found in description.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == sum(len(methods) for methods in description.raw_schema["paths"].values())
    for operation in operations:
        for mode in GenerationMode:
            _try(operation.as_strategy(generation_mode=mode), token)


def test_nothing_that_is_described_is_done_without_a_token(cache: CacheProgram) -> None:
    described = json.loads(ask(cache.url, "/api/v1/docs/openapi.json").body)
    for path, methods in described["paths"].items():
        for method in methods:
            reply = ask(cache.url, re.sub(r"{[^}]*}", "1", path), method=method.upper())
            assert reply.status == 401, path
            assert reply.headers["content-type"] == "application/problem+json"


def _try(cases: Any, token: str) -> None:
    @settings(
        max_examples=5,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def meets_its_description(case: Case) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        # What If-Match and cursors name is hardly ever there: a 412, and a 400.  A body with a member too many is a 400, so
        # that no slip of a name purges more than was meant; the framework has no way to describe that.
        conditions = {"If-Match", "cursor"} & {*(case.headers or {}), *(case.query or {})}
        may_be_refused = conditions or isinstance(case.body, dict)
        ignored = [*IGNORED, positive_data_acceptance] if may_be_refused else IGNORED
        response = case.call(headers=headers)
        if len(response.request.path_url or "") > Limits().target_bytes:
            assert response.status_code == 414  # By the server: the API does not hear of it.
        else:
            case.validate_response(response, headers=headers, excluded_checks=ignored)

    meets_its_description()
