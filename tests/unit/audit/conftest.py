"""Entries to record."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from entrepot.ports.audit import ActionEntry, RequestEntry


@pytest.fixture
def request_entry() -> RequestEntry:
    return RequestEntry(
        time=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
        remote="10.0.0.7",
        method="GET",
        path="/v2/library/alpine/manifests/3",
        status=200,
        size=528,
        duration_seconds=0.0015,
        upstream="docker.io",
        repository="library/alpine",
        reference="3",
        cache="hit",
        user_agent="containerd/2.1",
    )


@pytest.fixture
def action_entry() -> ActionEntry:
    return ActionEntry(
        time=datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC),
        action="purge",
        remote="10.0.0.8",
        user="ada",
        upstream="docker.io",
        repository="library/alpine",
        detail={"dry_run": True},
    )
