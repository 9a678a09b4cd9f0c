"""What ``entrepot doctor`` finds: how it stands with one thing, and what to do about it."""

from __future__ import annotations

import click
from msgspec import Struct
from msgspec.structs import asdict

from entrepot.cli.tables import clean, print_json

__all__ = ["Finding", "fine", "problem", "tell", "warning"]

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


class Finding(Struct, frozen=True):
    """``verdict`` is ``ok``, ``warning`` or ``problem``; ``advice`` says what to do where it is not ok."""

    check: str
    verdict: str
    found: str
    advice: str | None = None


def fine(check: str, found: str) -> Finding:
    return Finding(check, "ok", found)


def warning(check: str, found: str, advice: str) -> Finding:
    return Finding(check, "warning", found, advice)


def problem(check: str, found: str, advice: str) -> Finding:
    return Finding(check, "problem", found, advice)


def tell(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(finding))
        return
    verdict = click.style(f"{finding.verdict:<7}", fg=_COLOURS[finding.verdict])
    click.echo(f"{verdict}  {finding.check}: {clean(finding.found)}")
    if finding.advice is not None:
        click.echo(f"         -> {clean(finding.advice)}")
