from __future__ import annotations

import pytest

from entrepot.oci.codes import ErrorCode


@pytest.mark.parametrize("code", ErrorCode, ids=lambda code: code.name)
def test_every_row_is_whole(code: ErrorCode) -> None:
    assert code.name == code.name.upper()
    assert code.message == code.message.lower()
    assert 400 <= code.status < 600


def test_no_two_codes_collapse_into_one() -> None:
    assert len(ErrorCode) == len(ErrorCode.__members__)
