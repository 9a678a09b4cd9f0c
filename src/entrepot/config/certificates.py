"""Reads certificates and keys: alike where settings are checked and where they come to use.

The process that forwards audit lines is to be small, so that nothing here knows the settings.
"""

from __future__ import annotations

import ssl
from typing import NoReturn

from entrepot.errors import SettingsInvalid

__all__ = ["load_authorities", "load_pair", "server_context"]


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """Make the context to serve HTTPS with; raise ``SettingsInvalid`` where the files are no pair."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    load_pair(context, certificate, key)
    return context


def load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Have the context show a certificate; raise ``SettingsInvalid`` where the files are no pair."""
    try:
        context.load_cert_chain(certificate, key, password=_refuse_passphrase)
    except OSError as error:  # ssl.SSLError is one.
        raise SettingsInvalid(
            f"{certificate} and {key} are no certificate and its key: {_reason(error)}"
        ) from error


def load_authorities(context: ssl.SSLContext, file: str) -> None:
    """Have the context trust the file's authorities as well; raise ``SettingsInvalid`` where it has none."""
    try:
        context.load_verify_locations(file)
    except OSError as error:
        raise SettingsInvalid(f"{file} is no PEM file of certificates: {_reason(error)}") from error


def _refuse_passphrase() -> NoReturn:
    """Stand where OpenSSL would ask at the terminal, and wait."""
    raise SettingsInvalid("the key has a passphrase: give it without one")


def _reason(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return reason.lower().replace("_", " ") if reason else str(error)
