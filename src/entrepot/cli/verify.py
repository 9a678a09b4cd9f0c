"""``entrepot verify``: reads stored content again and drops what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from entrepot.cli.api_client import connect
from entrepot.cli.options import json_option, server_options
from entrepot.cli.remote_scrub import RemoteScrub
from entrepot.cli.selections import upstreams_of
from entrepot.cli.tables import counted
from entrepot.config.data_folder import find_data_folder
from entrepot.config.kinds import meaning_of
from entrepot.config.load import load_settings
from entrepot.config.schema import Settings
from entrepot.engine.scrub import Finding, Kind, Scrub, Verdict
from entrepot.errors import EntrepotError, SettingsInvalid
from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.oci.reference import InvalidName, Repository, check_hosted_name, split_host
from entrepot.policy.routing import UpstreamTable, resolve_named
from entrepot.ports.blobs import Pace
from entrepot.standalone import scrubbing

__all__ = ["command"]

_DROPPED = 3
_FAILED = 1
_LONGEST_READ = 3600.0
"""Seconds that a cache may take for one blob, of which it tells nothing before it is read."""

Target = str | Digest
"""A repository as it is named in a pull, or content."""


class _Target(click.ParamType[Target]):
    name = "content"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        with suppress(InvalidDigest):
            return Digest.parse(value)
        try:
            check_hosted_name(value)
        except InvalidName:
            expected = "expected a repository, as in docker.io/library/alpine, or a digest"
            self.fail(f"{expected}, found {value!r}", param, ctx)
        return value


@click.command()
@server_options
@click.option("--data", metavar="DIR", help=meaning_of("data"))
@json_option
@click.argument("targets", nargs=-1, type=_Target(), metavar="[REPOSITORY|DIGEST]...")
def command(
    *,
    data: str | None,
    as_json: bool,
    targets: tuple[Target, ...],
    **server: Any,
) -> None:
    """Read stored content again, all or what is named, and drop what is not what its digest says.

    A REPOSITORY is named as in a pull, or as it is listed; without an upstream, it is of the default one.
    The next pull fetches anew what was dropped. The data folder is read here, and the cache may run
    meanwhile, or not; with --url the cache there reads what it holds.

    Exit codes: 0 all is right; 3 something was wrong, and is dropped; 1 something could not be read, or
    is not there; 2 wrong usage, or no cache to call.
    """
    if data is not None and server["url"] is not None:
        raise click.UsageError("--data and --url exclude each other")
    report = _Report(as_json=as_json)
    asyncio.run(_verify(data, server, targets, report))
    click.get_current_context().exit(report.end())


async def _verify(
    data: str | None, server: dict[str, Any], targets: Sequence[Target], report: _Report
) -> None:
    with _progress() as progress:
        task = progress.add_task("", total=None)

        async def advance(read_bytes: int) -> None:
            progress.advance(task, read_bytes)

        async with _opened(data, server, advance) as opened:
            progress.update(task, total=None if targets else opened.size)
            await _take(opened, targets, report)


class _Opened(NamedTuple):
    """``size``: how much there is, if it is known; ``named`` finds the repository that a pull would mean."""

    scrub: Scrub | RemoteScrub
    size: int | None
    named: Callable[[str], Repository]


@asynccontextmanager
async def _opened(data: str | None, server: dict[str, Any], pace: Pace) -> AsyncGenerator[_Opened]:
    """Open the folder, or the cache at the URL if there is one."""
    if server["url"] is not None:
        api = connect(**server, within=_LONGEST_READ)
        yield _Opened(RemoteScrub(api, pace), None, lambda text: _named(text, upstreams_of(api)))
        return
    settings = load_settings(server["file"], os.environ, {} if data is None else {"data": data})
    async with scrubbing(_folder(settings), pace) as kept:
        # Those that only options of ``serve`` named are known by what is kept of them.
        known = dict.fromkeys([*settings.upstreams, *kept.upstreams])
        upstreams = UpstreamTable.build(known, {}, settings.default_upstream)
        yield _Opened(kept.scrub, kept.size, partial(_named, upstreams=upstreams))


def _folder(settings: Settings) -> Path:
    try:
        return find_data_folder(settings.data)
    except SettingsInvalid as invalid:
        raise SettingsInvalid(
            f"{invalid}; name its folder with --data, or its address with --url"
        ) from invalid


def _named(text: str, upstreams: UpstreamTable) -> Repository:
    meant = resolve_named(text, upstreams)
    if isinstance(meant, Repository):
        return meant
    host, name = split_host(text)  # Content may be left of an upstream that is configured no more.
    return Repository(host or upstreams.default, name)


async def _take(opened: _Opened, targets: Sequence[Target], report: _Report) -> None:
    scrub = opened.scrub
    for target in targets:
        if isinstance(target, Digest):
            content: Repository | Digest = target
            found = scrub.content(target)
        else:
            content = opened.named(target)
            found = scrub.repository(content)
        if not await report.take(found):
            report.fail(f"nothing is kept of {content}")
    if not targets:
        await report.take(scrub.manifests())
        await report.take(scrub.blobs())


def _progress() -> Progress:
    """Show on a terminal how far it is, beside what is told on standard output."""
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    is_shown, is_together = sys.stderr.isatty(), sys.stdout.isatty()
    return Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        disable=not is_shown,
        redirect_stdout=is_together,
    )


class _Report:
    """Tells what is found, when it is found, and in the end how much was read."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._read_bytes = 0
        self._kinds = Counter[Kind]()
        self._verdicts = Counter[Verdict]()

    async def take(self, findings: AsyncIterator[Finding]) -> bool:
        """Tell whether anything was there."""
        before = self._kinds.total()
        try:
            async for finding in findings:
                self._note(finding)
        except EntrepotError as failure:
            self.fail(str(failure))
            return True
        return self._kinds.total() > before

    def fail(self, reason: str) -> None:
        self._verdicts[Verdict.FAILED] += 1
        self._tell(f"failed: {reason}", event="failed", reason=reason)

    def end(self) -> int:
        """Return the exit code."""
        dropped, failed = self._verdicts[Verdict.DROPPED], self._verdicts[Verdict.FAILED]
        blobs, manifests = self._kinds[Kind.BLOB], self._kinds[Kind.MANIFEST]
        verdict = "none of it wrong" if failed else "nothing wrong"
        if dropped:
            verdict = f"{dropped} dropped, to be fetched at the next pull"
        read = f"{counted(blobs, 'blob')}, {counted(manifests, 'manifest')}, {decimal(self._read_bytes)}"
        self._tell(
            f"{read}: {verdict}; {failed} failed",
            event="verified",
            blobs=blobs,
            manifests=manifests,
            bytes=self._read_bytes,
            dropped=dropped,
            failed=failed,
        )
        return _DROPPED if dropped else _FAILED if failed else 0

    def _note(self, finding: Finding) -> None:
        if finding.verdict is Verdict.GONE:
            return
        self._kinds[finding.kind] += 1
        self._verdicts[finding.verdict] += 1
        self._read_bytes += finding.size
        if finding.verdict is not Verdict.RIGHT:
            reason = f": {finding.reason}" if finding.reason else ""
            told = {"event": str(finding.verdict), "kind": str(finding.kind), "digest": str(finding.digest)}
            self._tell(
                f"{finding.verdict}: {finding.kind} {finding.digest}{reason}", **told, reason=finding.reason
            )

    def _tell(self, text: str, **fields: object) -> None:
        click.echo(json.dumps(fields) if self._as_json else text)
