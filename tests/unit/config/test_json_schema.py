from __future__ import annotations

import json
from typing import Any

from entrepot.config.json_schema import json_schema


def at(*path: str) -> dict[str, Any]:
    schema = json_schema()
    for name in path:
        schema = schema["properties"][name]
    return schema


def upstream() -> dict[str, Any]:
    schema: dict[str, Any] = at("upstreams")["additionalProperties"]
    return schema


def test_it_is_json() -> None:
    assert json.loads(json.dumps(json_schema())) == json_schema()


def test_it_refuses_unknown_settings_at_every_level() -> None:
    sections = [json_schema(), at("cache"), upstream(), upstream()["properties"]["timeouts"]]
    assert [section["additionalProperties"] for section in sections] == [False] * 4


def test_it_tells_meaning_and_default_as_people_write_them() -> None:
    assert at("drain_timeout")["default"] == "30s"
    assert at("cache", "memory")["default"] == "32MiB"
    assert all("description" in schema for schema in at()["properties"].values())


def test_what_may_be_nothing_may_be_null() -> None:
    assert "null" in at("cache", "max_size")["type"]
    assert "null" in at("cache")["type"]
    assert "null" not in at("listen")["type"]


def test_a_tag_rule_needs_its_pattern() -> None:
    assert upstream()["properties"]["tag_rules"]["items"]["required"] == ["tags"]


def test_a_password_is_marked_as_one() -> None:
    assert upstream()["properties"]["password"]["writeOnly"] is True
