"""Which certificates an upstream must show, and which one it is shown."""

from __future__ import annotations

import functools
import ssl

from entrepot.config.schema import UpstreamSettings
from entrepot.errors import SettingsInvalid

__all__ = ["TlsContexts"]


class TlsContexts:
    """A context for the upstream's own endpoints, and one for wherever they redirect to.

    A client certificate is a credential: only the endpoints get to see it.  Files that are
    named are read at once, so that a wrong one is found at start; the system's own
    authorities, which cost a megabyte, when they are first needed.

    Raises ``SettingsInvalid`` when a file cannot be used.
    """

    def __init__(self, settings: UpstreamSettings) -> None:
        self._skip_verify = settings.insecure_skip_verify
        self._elsewhere: ssl.SSLContext | None = None
        self._endpoints: ssl.SSLContext | None = None
        if settings.ca_file or self._skip_verify:
            self._elsewhere = _trusting(settings)
        if settings.client_cert:
            self._endpoints = _trusting(settings)
            _show(self._endpoints, settings.client_cert, settings.client_key)

    def for_endpoints(self) -> ssl.SSLContext:
        return self._endpoints or self.for_elsewhere()

    def for_elsewhere(self) -> ssl.SSLContext:
        return self._elsewhere or _system_context()


@functools.cache
def _system_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _trusting(settings: UpstreamSettings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if settings.ca_file:
        try:
            context.load_verify_locations(settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsInvalid(
                f"ca_file {settings.ca_file} is no readable PEM file of certificates: {error}"
            ) from error
    if settings.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _show(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsInvalid(
            f"client_cert {certificate} and its client_key cannot be used: {error}"
        ) from error
