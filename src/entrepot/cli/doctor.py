"""``entrepot doctor``: whether a cache can work here, and what to do where it cannot."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from entrepot.cli.findings import Finding, fine, problem, tell
from entrepot.cli.machine_checks import check_machine
from entrepot.cli.options import config_option, json_option
from entrepot.cli.tables import counted
from entrepot.cli.upstream_checks import check_names, check_upstreams
from entrepot.config.kinds import meaning_of
from entrepot.config.load import load_settings
from entrepot.errors import SettingsInvalid

__all__ = ["command"]


@click.command()
@config_option
@click.option("--data", metavar="DIR", help=meaning_of("data"))
@click.option("--offline", is_flag=True, help="Ask no upstream, and so compare no clock.")
@json_option
def command(*, file: Path | None, data: str | None, offline: bool, as_json: bool) -> None:
    """Check what a cache needs here, and say what to do about what is wrong.

    The configuration, the data folder and its disk, open files, the port and the cache that runs there;
    then every endpoint of the upstreams, their credentials, and the clock. Nothing is changed. Run it as
    the user that serves, with the same configuration.

    Exit codes: 0 no problem, though there may be warnings; 1 there is one; 2 wrong usage.
    """
    verdicts = Counter[str]()
    for finding in _examine(file, data, offline=offline):
        verdicts[finding.verdict] += 1
        tell(finding, as_json=as_json)
    if not as_json:
        click.echo(f"{counted(verdicts['problem'], 'problem')}, {counted(verdicts['warning'], 'warning')}")
    click.get_current_context().exit(1 if verdicts["problem"] else 0)


def _examine(file: Path | None, data: str | None, *, offline: bool) -> Iterator[Finding]:
    try:
        settings = load_settings(file, os.environ, {} if data is None else {"data": data})
    except SettingsInvalid as invalid:
        for fault in str(invalid).splitlines():
            yield problem("configuration", fault, "correct it; all else is checked when it is valid")
        return
    count = len(settings.upstreams)
    yield fine("configuration", f"{file or 'the defaults'}, with {counted(count, 'upstream')}")
    yield from check_names(settings)
    yield from check_machine(settings)
    if not offline:
        yield from check_upstreams(settings)
