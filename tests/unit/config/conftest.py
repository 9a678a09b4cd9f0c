"""Certificates and keys, which take OpenSSL a moment to make."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two pairs, ``a.pem`` and ``a.key``, ``b``; one with a passphrase, ``locked``; ``empty``."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("a", "b", "locked"):
        protection = ("-passout", "pass:open sesame") if name == "locked" else ("-nodes",)
        _make(folder, name, protection)
    (folder / "empty").touch()
    return folder


def _make(folder: Path, name: str, protection: tuple[str, ...]) -> None:
    new = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=cache")
    files = ("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem"))
    command = ["openssl", "req", *new, *protection, *files]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
