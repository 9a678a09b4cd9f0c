"""The doctor where a cache runs: that it has the folder and the port is as it should be."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.commands.conftest import Desk


def test_a_cache_that_runs_is_recognised_and_takes_its_token(desk: Desk) -> None:
    findings = {finding["check"]: finding for finding in desk.rows("doctor", "--offline")}
    assert f"held by process {desk.cache.pid}: " in findings["data folder"]["found"]
    assert findings["cache"]["found"] == f"it runs on 127.0.0.1:{desk.cache.port} and is ready"
    assert findings["token"]["verdict"] == "ok"


def test_a_token_of_another_cache_is_told(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("another")
    result = desk.run("doctor", "--offline", ENTREPOT_ADMIN__TOKEN_FILE=str(tmp_path / "token"))
    assert "warning  token: this token is not known here" in result.stdout
    assert "--token-file" not in result.stdout, "doctor has no such option"
