"""The process that forwards audit lines, ``python -m entrepot.audit.forwarder_main``: the cache starts it.

It imports little, so that it takes little memory beside the cache.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
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
_LONGEST_CRASH = 2000
"""Characters: the end of a traceback tells most."""


def main() -> None:
    """Do what the order says until standard input ends."""
    os.nice(_NICENESS)
    threading.excepthook = _end
    line = sys.stdin.buffer.readline()
    if not line:  # The cache ended as soon as it began.
        return
    order = msgspec.json.decode(line, type=Order)
    forwarders = [Forwarder(name, Path(order.folder), target, _report) for name, target in _targets(order)]
    sys.stdin.buffer.read()
    for forwarder in forwarders:
        forwarder.finish()
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
    """End the process with a thread that failed, so that the cache begins another, and tells why.

    Standard error may be closed, or full and never read: who writes there may not come to the end.
    """
    try:
        told = "".join(traceback.format_exception(unforeseen.exc_value))
        target = getattr(unforeseen.thread, "name", "")
        _report(Report(target.removeprefix("audit-"), crash=told[-_LONGEST_CRASH:]))
    finally:
        os._exit(_UNFORESEEN)


if __name__ == "__main__":
    main()
