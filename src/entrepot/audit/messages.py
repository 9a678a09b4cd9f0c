"""What the cache and the process that forwards its audit lines tell each other: a line of JSON each."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Order", "Report", "Webhook"]


class Webhook(Struct, frozen=True):
    """Where to post to, the bearer token, and a PEM file of authorities to trust as well."""

    url: str
    token: str | None = None
    ca_file: str | None = None

    def __repr__(self) -> str:
        """Tell of whom it is, and not the token."""
        return f"Webhook({self.url!r})"


class Order(Struct, frozen=True):
    """The first line of standard input, whose end is the end of the cache, however that came about.

    ``process`` is that of the cache.
    """

    folder: str
    process: int
    syslog: str | None = None
    webhook: Webhook | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the names of what is forwarded to."""
        wanted = {"syslog": self.syslog, "webhook": self.webhook}
        return tuple(name for name, target in wanted.items() if target is not None)


class Report(Struct, frozen=True, omit_defaults=True):
    """A line of standard output.

    ``sent``: lines that the target has taken.  ``failure``: why it did not take them.  ``lost_from``: the
    file that was gone before it was sent.  ``crash``: how a thread failed in a way that nobody foresaw.
    """

    target: str
    sent: int = 0
    failure: str | None = None
    lost_from: str | None = None
    crash: str | None = None
