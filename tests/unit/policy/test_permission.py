from __future__ import annotations

import pytest

from entrepot.policy.permission import Action, Caller, Permission, Role, permit


@pytest.mark.parametrize("action", Action)
def test_the_administrator_may_do_anything_and_nobody_else_a_thing(action: Action) -> None:
    assert permit(Caller("administrator", Role.ADMINISTRATOR), action) is Permission.GRANTED
    assert permit(Caller("somebody"), action) is Permission.REFUSED
    assert permit(None, action) is Permission.UNKNOWN_CALLER
