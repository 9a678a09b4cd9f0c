from __future__ import annotations

from pathlib import Path

from entrepot.storage.ballast import Ballast


def test_room_is_held_and_given_back_once(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path)
    ballast.take()
    ballast.take()
    (held,) = tmp_path.iterdir()
    assert held.stat().st_blocks * 512 >= 1 << 20
    assert ballast.throw_off() is True
    assert list(tmp_path.iterdir()) == []
    assert ballast.throw_off() is False
