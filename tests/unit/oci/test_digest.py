from __future__ import annotations

import hashlib

import pytest

from entrepot.oci.digest import Digest, InvalidDigest

SHA256, SHA512 = "a" * 64, "0" * 128


@pytest.mark.parametrize("text", [f"sha256:{SHA256}", f"sha512:{SHA512}"])
def test_a_digest_survives_the_round_trip(text: str) -> None:
    assert str(Digest.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        SHA256,
        f"sha256:{SHA256[1:]}",
        f"sha256:{SHA256}0",
        f"sha256:{SHA512}",
        f"sha512:{SHA256}",
        f"sha256:{SHA256.upper()}",
        f"SHA256:{SHA256}",
        f"sha256:{SHA256}\n",
        f" sha256:{SHA256}",
        f"sha256::{SHA256[1:]}",
        "md5:" + "0" * 32,
        "sha256:" + "\u0660" * 64,
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidDigest):
        Digest.parse(text)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_digest_names_its_content_and_no_other(algorithm: str) -> None:
    digest = Digest.of(b"layer", algorithm)
    assert digest.hex == hashlib.new(algorithm, b"layer").hexdigest()
    assert digest.names(b"layer")
    assert not digest.names(b"layer ")


def test_a_hasher_grows_to_the_digest() -> None:
    digest = Digest.of(b"layer", "sha512")
    hasher = digest.hasher()
    hasher.update(b"lay")
    hasher.update(b"er")
    assert hasher.hexdigest() == digest.hex
