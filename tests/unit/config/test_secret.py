from __future__ import annotations

from entrepot.config.schema import UpstreamSettings
from entrepot.config.secret import Secret


def test_a_secret_is_not_shown_by_any_way_of_showing() -> None:
    secret = Secret("hunter2")
    settings = UpstreamSettings(username="u", password=secret)
    assert "hunter2" not in f"{secret} {secret!r} {secret!s} {secret:>20} {settings} {settings!r}"


def test_a_secret_is_told_when_asked_for() -> None:
    revealed = Secret("hunter2").reveal()
    assert (revealed, type(revealed)) == ("hunter2", str)
