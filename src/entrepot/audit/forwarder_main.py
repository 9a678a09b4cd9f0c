"""The process that forwards audit lines, ``python -m entrepot.audit.forwarder_main``: the cache starts it.

It imports little, so that it takes little memory beside the cache.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from entrepot.audit.forward import Forwarder, Target
from entrepot.audit.messages import Order, Report
from entrepot.audit.syslog import SyslogTarget
from entrepot.audit.webhook import WebhookTarget

__all__ = ["main"]

_NICENESS = 10
"""Answers come first, where there are too few processors for both."""
_UNFORESEEN = 70
"""EX_SOFTWARE of sysexits.h."""


def main() -> None:
    """Do what the order says until standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # These may be sent to all of a service; the cache says when.
    os.nice(_NICENESS)
    threading.excepthook = _end
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    forwarders = [Forwarder(name, Path(order.folder), target, _report) for name, target in _targets(order)]
    sys.stdin.buffer.read()
    for forwarder in forwarders:
        forwarder.close()


def _targets(order: Order) -> Iterator[tuple[str, Target]]:
    if order.syslog is not None:
        yield "syslog", SyslogTarget(order.syslog, order.process)
    if order.webhook is not None:
        yield "webhook", WebhookTarget(order.webhook)


def _report(report: Report) -> None:
    with suppress(BrokenPipeError):  # The cache has ended, and so will this.
        os.write(sys.stdout.fileno(), msgspec.json.encode(report) + b"\n")


def _end(unforeseen: threading.ExceptHookArgs) -> None:
    """End the process with a thread that failed, so that the cache begins another."""
    threading.__excepthook__(unforeseen)
    os._exit(_UNFORESEEN)


if __name__ == "__main__":
    main()
