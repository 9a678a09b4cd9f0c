from __future__ import annotations

import stat
from pathlib import Path

import pytest

from entrepot.config.schema import AdminSettings
from entrepot.config.secret import Secret
from entrepot.errors import SettingsInvalid
from entrepot.identity.administrator import AdministratorToken
from entrepot.policy.permission import Role


async def _knows(token: AdministratorToken, text: str) -> bool:
    caller = await token.identify(text)
    return caller is not None and caller.role is Role.ADMINISTRATOR


async def test_a_token_is_made_at_the_first_start_for_its_owner_alone(tmp_path: Path) -> None:
    token = AdministratorToken.open(AdminSettings(), tmp_path)
    file = tmp_path / "admin-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    made = file.read_text().strip()
    assert len(made) >= 43
    assert await _knows(token, made)


async def test_the_token_of_the_first_start_is_kept(tmp_path: Path) -> None:
    AdministratorToken.open(AdminSettings(), tmp_path)
    made = (tmp_path / "admin-token").read_text().strip()
    assert await _knows(AdministratorToken.open(AdminSettings(), tmp_path), made)


async def test_no_two_caches_make_the_same(tmp_path: Path) -> None:
    tokens = set()
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        AdministratorToken.open(AdminSettings(), folder)
        tokens.add((folder / "admin-token").read_text())
    assert len(tokens) == 2


async def test_a_half_made_token_is_none(tmp_path: Path) -> None:
    (tmp_path / "admin-token.new").write_text("half")
    token = AdministratorToken.open(AdminSettings(), tmp_path)
    assert not await _knows(token, "half")
    assert [entry.name for entry in tmp_path.iterdir()] == ["admin-token"]


async def test_a_configured_token_is_taken_and_none_is_made(tmp_path: Path) -> None:
    configured = tmp_path / "secret"
    configured.write_text("from a file\n")
    for settings in (AdminSettings(token=Secret("from a file")), AdminSettings(token_file=str(configured))):
        assert await _knows(AdministratorToken.open(settings, tmp_path), "from a file")
    assert not (tmp_path / "admin-token").exists()


@pytest.mark.parametrize("wrong", ["", "x", "the right one ", "The right one", "the right on", "\udcff"])
async def test_nobody_else_is_the_administrator(wrong: str) -> None:
    assert not await _knows(AdministratorToken("the right one"), wrong)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff"])
def test_a_file_that_holds_no_token_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "admin-token").write_bytes(content)
    with pytest.raises(SettingsInvalid, match="admin-token"):
        AdministratorToken.open(AdminSettings(), tmp_path)


def test_a_folder_that_takes_no_token_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        AdministratorToken.open(AdminSettings(), tmp_path / "missing")
