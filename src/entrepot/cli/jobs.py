"""``entrepot jobs``: what runs behind the answers, and running it now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import click

from entrepot.cli.api_client import ApiClient
from entrepot.cli.completion import complete_jobs
from entrepot.cli.options import api_options, json_option
from entrepot.cli.tables import ago, clean, moment, print_json, print_pairs, print_table
from entrepot.cli.waiting import looks, until_interrupted

__all__ = ["await_end", "command"]

_SECONDS_BETWEEN_LOOKS = 0.5


@click.command()
@api_options
@click.option("--run", "is_run", is_flag=True, help="Run it now, due or not.")
@click.option("--wait", is_flag=True, help="With --run, wait for its end.")
@json_option
@click.argument("name", required=False, metavar="[NAME]", shell_complete=complete_jobs)
def command(*, api: ApiClient, is_run: bool, wait: bool, as_json: bool, name: str | None) -> None:
    """Show the jobs, all or the one of that name, and run one.

    Exit codes: 0 done, begun, or with --wait done well; 1 it runs already, failed, or there is no such
    job; 2 wrong usage, or no cache to call; 130 interrupted, and the job goes on.
    """
    if wait and not is_run:
        raise click.UsageError("--wait goes with --run")
    if name is None:
        if is_run:
            raise click.UsageError("expected the NAME of a job to run; entrepot jobs lists them")
        _print_all(list(api.rows("/jobs")), as_json=as_json)
        return
    job: dict[str, Any] = api.call("POST" if is_run else "GET", _path(name) + ("/run" if is_run else ""))
    if is_run and wait:
        job = await_end(api, name)
    if as_json:
        print_json(job)
    else:
        _print(job)
    has_failed = wait and job["last_outcome"] == "failed"
    click.get_current_context().exit(1 if has_failed else 0)


def await_end(api: ApiClient, name: str) -> dict[str, Any]:
    """Return how it stands with a job when it runs no more."""
    job: dict[str, Any] = {}
    with until_interrupted():
        for _ in looks(_SECONDS_BETWEEN_LOOKS):
            job = api.call("GET", _path(name))
            if not job["running"]:
                break
    return job


def _path(name: str) -> str:
    return f"/jobs/{quote(name, safe='')}"


def _print_all(jobs: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(*jobs)
        return
    rows = [
        (job["name"], _when(job), _state(job), _last(job), _next(job), job["description"]) for job in jobs
    ]
    headings = ("JOB", "RUNS", "STATE", "LAST ENDED", "NEXT", "WHAT IT DOES")
    print_table(headings, rows, nothing="this cache has no jobs")


def _print(job: dict[str, Any]) -> None:
    click.echo(clean(f"{job['name']}: {job['description']}"))
    print_pairs(
        {
            "runs": _when(job),
            "state": _state(job),
            "last ended": _last(job),
            "reason": job["reason"] or "",
            "counts": ", ".join(f"{name} {count}" for name, count in job["counts"].items()),
            "next": _next(job),
        }
    )


def _when(job: dict[str, Any]) -> str:
    if job["schedule"]:
        return str(job["schedule"])
    return f"every {_span(job['every_seconds'])}" if job["every_seconds"] else "when there is reason to"


def _state(job: dict[str, Any]) -> str:
    return "running" if job["running"] else job["last_outcome"] or "not run yet"


def _last(job: dict[str, Any]) -> str:
    return ago(job["last_ended_at"])


def _next(job: dict[str, Any]) -> str:
    if job["next_at"] is None:
        return ""
    return f"in {_span(max(0.0, (moment(job['next_at']) - datetime.now(UTC)).total_seconds()))}"


def _span(seconds: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
