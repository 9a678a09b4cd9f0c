from __future__ import annotations

import json
from pathlib import Path

import click
from click.testing import CliRunner

from entrepot.cli.api_client import ApiClient
from entrepot.cli.options import api_options


def test_an_answer_that_lacks_something_is_told_without_a_traceback(tmp_path: Path) -> None:
    @click.command()
    @api_options
    def command(*, api: ApiClient) -> None:
        click.echo({"url": api.url}["version"])

    (tmp_path / "entrepot.yaml").write_text(json.dumps({"admin": {"token": "x" * 32}, "listen": ":7"}))
    result = CliRunner().invoke(command, ["--config", str(tmp_path / "entrepot.yaml")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: http://127.0.0.1:7 answers without 'version': it may be of another version than this program\n"
    )
