from __future__ import annotations

from pathlib import Path

from entrepot.cli.reference import render_reference

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_page_is_what_the_commands_say() -> None:
    """If not: ``python -m entrepot.cli.reference > docs/cli.md``."""
    assert PAGE.read_text() == render_reference()
