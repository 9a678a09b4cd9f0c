from __future__ import annotations

from pathlib import Path

from entrepot.config.reference import render_reference

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_is_what_the_schema_says() -> None:
    """If not: ``python -m entrepot.config.reference > docs/configuration.md``."""
    assert PAGE.read_text() == render_reference()


def test_a_row_tells_type_default_variable_and_meaning() -> None:
    row = "| `connect` | duration | `5s` | `ENTREPOT_UPSTREAMS__NAME__TIMEOUTS__CONNECT` | Longest wait for a connection, TLS included. |"
    assert row in render_reference().splitlines()
