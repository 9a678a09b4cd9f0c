"""Certificates for servers of a test, made for the occasion."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from entrepot.testing.programs import run

__all__ = ["Certificate", "certify", "server_context"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """The paths of the certificate and of its key, both in PEM."""

    certificate: str
    key: str


_ELLIPTIC = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")


def certify(
    folder: Path, name: str, of: str = "IP:127.0.0.1,DNS:localhost", *, key: Sequence[str] = _ELLIPTIC
) -> Certificate:
    """Make a certificate that signs itself, so that it is its own authority; ``key`` is of openssl-req(1)."""
    made = Certificate(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    new = ["-x509", "-newkey", *key, "-nodes", "-days", "2"]
    who = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={of}"]
    run("openssl", "req", *new, *who, "-keyout", made.key, "-out", made.certificate)
    return made


def server_context(server: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    return context
