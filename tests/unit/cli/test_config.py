from __future__ import annotations

import json
from pathlib import Path

import yaml
from click.testing import CliRunner, Result

from entrepot.cli.main import main


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner(env=environ).invoke(main, ["config", *arguments])


def test_check_tells_what_would_be_served(tmp_path: Path) -> None:
    file = tmp_path / "entrepot.yaml"
    file.write_text("listen: :7\nupstreams: {quay.io: , ghcr.io: }\n")
    result = run("check", "--config", str(file))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "OK",
        f"  file       {file}",
        "  listen     :7",
        "  data       chosen at start",
        "  upstreams  quay.io (default), ghcr.io",
    ]


def test_check_tells_scripts_what_would_be_served(tmp_path: Path) -> None:
    file = tmp_path / "entrepot.yaml"
    file.write_text("listen: :7\nupstreams: {quay.io: , ghcr.io: , mirror: {endpoints: ['http://m']}}\n")
    told = json.loads(run("check", "--json", "--config", str(file)).stdout)
    (finding,) = told.pop("warnings")
    assert told == {
        "file": str(file),
        "listen": ":7",
        "data": None,
        "default_upstream": "quay.io",
        "upstreams": ["quay.io", "ghcr.io", "mirror"],
    }
    assert (finding["verdict"], "mirror" in finding["found"]) == ("warning", True)


def test_what_is_in_force_is_shown_as_json_too() -> None:
    environ = {"ENTREPOT_ADMIN__TOKEN": "cannot be guessed by anybody"}
    assert json.loads(run("show", "--json", **environ).stdout) == yaml.safe_load(
        run("show", **environ).stdout
    )


def test_check_tells_every_problem_and_exits_with_2(tmp_path: Path) -> None:
    file = tmp_path / "entrepot.yaml"
    file.write_text("listn: :7\ncache: {max_size: lots}\n")
    result = run("check", "--config", str(file), ENTREPOT_DRAIN_TIMEOUT="long")
    assert (result.exit_code, result.stdout) == (2, "")
    keys = {line.split(": ")[1] for line in result.stderr.splitlines()}
    assert keys == {"listn", "cache.max_size", "drain_timeout"}


def test_show_prints_what_is_in_force_without_secrets() -> None:
    environ = {
        "ENTREPOT_UPSTREAMS__QUAY_IO__USERNAME": "u",
        "ENTREPOT_UPSTREAMS__QUAY_IO__PASSWORD": "hunter2",
    }
    result = run("show", **environ)
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    assert yaml.safe_load(result.output)["upstreams"]["quay.io"]["username"] == "u"


def test_schema_prints_json() -> None:
    assert json.loads(run("schema").output)["title"] == "Configuration of Entrepot"


def test_check_warns_of_an_upstream_that_no_image_can_name(tmp_path: Path) -> None:
    file = tmp_path / "entrepot.yaml"
    file.write_text(
        f"data: {tmp_path}\nupstreams: {{main: , intern: , named: {{hostnames: [cache.test]}}, 'local:5000': }}\n"
    )
    result = run("check", "--config", str(file))
    assert (result.exit_code, result.stderr.count("warning: ")) == (0, 1)
    assert "no image can name it: intern has neither a dot nor a port" in result.stderr


def test_check_warns_of_a_budget_that_no_disk_here_has(tmp_path: Path) -> None:
    file = tmp_path / "entrepot.yaml"
    file.write_text(f"data: {tmp_path}\ncache: {{max_size: 900TiB}}\n")
    result = CliRunner().invoke(main, ["config", "check", "--config", str(file)])
    assert result.exit_code == 0
    assert "cache.max_size" in result.stderr
    assert "warning" in result.stderr
    file.write_text(f"data: {tmp_path}\ncache: {{max_size: 2GiB}}\n")
    assert CliRunner().invoke(main, ["config", "check", "--config", str(file)]).stderr == ""
