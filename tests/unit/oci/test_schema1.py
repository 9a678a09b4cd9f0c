from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest

from entrepot.oci.digest import Digest
from entrepot.oci.schema1 import name_of, names_manifest

PAYLOAD = b"""{
   "schemaVersion": 1,
   "name": "library/app",
   "tag": "1",
   "fsLayers": []
}"""
TAIL = b"\n}"


def _encode(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def _sign(payload: bytes = PAYLOAD, more: str = "", **changed: object) -> bytes:
    """Sign as libtrust does: what is signed is the payload, which the signatures are put into."""
    form = {"formatLength": len(payload) - len(TAIL), "formatTail": _encode(TAIL), **changed}
    signature = {
        "header": {"alg": "ES256"},
        "signature": "x",
        "protected": _encode(json.dumps(form).encode()),
    }
    return payload[: -len(TAIL)] + f',{more}\n   "signatures": {json.dumps([signature])}'.encode() + TAIL


def test_any_manifest_is_named_by_the_digest_of_all_its_bytes() -> None:
    assert names_manifest(Digest.of(PAYLOAD), PAYLOAD)
    assert names_manifest(Digest.of(_sign()), _sign())
    assert not names_manifest(Digest.of(b"other"), PAYLOAD)


def test_a_signed_one_is_named_by_what_is_signed() -> None:
    assert names_manifest(Digest.of(PAYLOAD), _sign())
    assert names_manifest(Digest.of(PAYLOAD, "sha512"), _sign())
    assert not names_manifest(Digest.of(PAYLOAD), _sign(PAYLOAD.replace(b"app", b"bad")))


def test_its_name_is_that_of_what_is_signed_and_of_any_other_that_of_the_whole() -> None:
    assert name_of(_sign()) == Digest.of(PAYLOAD)
    newer = PAYLOAD.replace(b'"schemaVersion": 1', b'"schemaVersion": 2')
    for content in (PAYLOAD, newer, _sign(newer), b"", b"\xff"):
        assert name_of(content) == Digest.of(content)


def test_nothing_can_be_added_to_a_manifest_of_another_schema() -> None:
    payload = PAYLOAD.replace(b'"schemaVersion": 1', b'"schemaVersion": 2')
    assert not names_manifest(Digest.of(payload), _sign(payload, more='"layers": [],'))


@pytest.mark.parametrize(
    "content",
    [
        _sign(formatLength=-1),
        _sign(formatLength=10**9),
        _sign(formatLength="1"),
        _sign(formatTail="!"),
        _sign(formatTail="\u00e9"),
        PAYLOAD[:-2] + b',"signatures": []}',
        PAYLOAD[:-2] + b',"signatures": [{"protected": "e"}]}',
        PAYLOAD[:-2] + b',"signatures": 1}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_nonsense_names_nothing(content: bytes) -> None:
    assert not names_manifest(Digest.of(PAYLOAD), content)
