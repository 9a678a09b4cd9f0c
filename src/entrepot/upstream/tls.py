"""Which certificates an upstream must show, and which one it is shown."""

from __future__ import annotations

import functools
import ssl

from entrepot.config.certificates import load_authorities, load_pair
from entrepot.config.schema import UpstreamSettings
from entrepot.upstream.tls_inflow import open_up

__all__ = ["TlsContexts", "distrust"]

# Of openssl/x509_vfy.h.
_UNTIMELY = {9: "is not valid yet", 10: "has expired"}
_MISNAMED = {62, 64}


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
            load_pair(self._endpoints, settings.client_cert, settings.client_key or settings.client_cert)

    def for_endpoints(self) -> ssl.SSLContext:
        return self._endpoints or self.for_elsewhere()

    def for_elsewhere(self) -> ssl.SSLContext:
        return self._elsewhere or _system_context()


def distrust(host: str, error: ssl.SSLCertVerificationError) -> str:
    """Say why the certificate that ``host`` showed is not trusted, and what to do about it."""
    cause = getattr(error, "certificate_error", error)  # The library's own error wraps the one that knows.
    code = getattr(cause, "verify_code", None)
    reason = getattr(cause, "verify_message", None) or str(cause)
    if code in _UNTIMELY:
        return f"the certificate of {host} {_UNTIMELY[code]}; have it renewed, or check this machine's clock"
    if code in _MISNAMED:
        return f"the certificate of {host} is of another name; name the endpoint as it does: {reason}"
    return f"the certificate of {host} is not trusted; set ca_file to the authority that signed it: {reason}"


@functools.cache
def _system_context() -> ssl.SSLContext:
    return _strict_context()


def _strict_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    open_up(context)
    return context


def _trusting(settings: UpstreamSettings) -> ssl.SSLContext:
    context = _strict_context()
    if settings.ca_file:
        load_authorities(context, settings.ca_file)
    if settings.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
