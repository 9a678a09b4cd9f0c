"""Keeps the process that forwards audit lines, and tells what it reports."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import IO

import msgspec

from entrepot.audit.messages import Order, Report
from entrepot.telemetry.lines import write_whole
from entrepot.telemetry.log import log
from entrepot.telemetry.metrics import Metrics

__all__ = ["ForwarderProcess"]

_COMMAND = [sys.executable, "-P", "-m", "entrepot.audit.forwarder_main"]
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_LONGEST_CLOSE = 2.0
_SENT_TO_ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that all processes of a service may be sent."""


class ForwarderProcess:
    """A process of its own, for all that is done to a line would be done under the interpreter's lock.

    It ends with the cache, even with a killed one; where it ends before, another goes on where it was.
    """

    def __init__(self, order: Order, metrics: Metrics) -> None:
        self._order = order
        self._metrics = metrics
        for target in order.targets:
            for family in (
                metrics.audit_forwarded,
                metrics.audit_forward_failures,
                metrics.audit_forward_gaps,
            ):
                family(target)  # From nothing to the first is an increase too: see ``Family``.
        self._failing: set[str] = set()
        self._pause = _FIRST_PAUSE
        self._process: subprocess.Popen[bytes] | None = None
        self._changing = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-forwarder", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, within two seconds; what was not sent yet is sent after the next start."""
        with self._changing:
            self._closing.set()
            process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        self._thread.join(_LONGEST_CLOSE)
        if process is not None and self._thread.is_alive():
            process.kill()

    def _run(self) -> None:
        # A process is born with what its maker blocks, so that at no time do these end it: the cache does.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SENT_TO_ALL)
        while not self._closing.is_set():
            try:
                self._keep_one()
            except OSError as failure:
                log.error("audit_forwarder_not_started", reason=failure.strerror, retry_after=self._pause)
            self._closing.wait(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _keep_one(self) -> None:
        """Start a process and take its reports until it ends."""
        with self._changing:
            if self._closing.is_set():
                return
            process = self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and our own module
                _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
            )
            # Before anybody may close it: else its number could be that of a client's connection by then.
            if process.stdin is not None:
                with suppress(BrokenPipeError):  # Ended as soon as it began.
                    write_whole(process.stdin.fileno(), msgspec.json.encode(self._order) + b"\n")
        begun = time.monotonic()
        with process:
            if process.stdout is not None:
                self._listen(process.stdout)
        if time.monotonic() - begun > _LONGEST_PAUSE:
            self._pause = _FIRST_PAUSE
        if not self._closing.is_set():
            log.error("audit_forwarder_ended", status=process.returncode, retry_after=self._pause)

    def _listen(self, output: IO[bytes]) -> None:
        for line in output:
            try:
                report = msgspec.json.decode(line, type=Report)
            except (msgspec.DecodeError, UnicodeDecodeError):  # Cut short by a sudden end.
                continue
            self._note(report)

    def _note(self, report: Report) -> None:
        target = report.target
        self._metrics.audit_forwarded(target).inc(report.sent)
        if report.sent and target in self._failing:
            self._failing.discard(target)
            log.info("audit_forwarded_again", target=target)
        if report.failure is not None:
            self._metrics.audit_forward_failures(target).inc()
            if target not in self._failing:
                self._failing.add(target)
                log.warning("audit_not_forwarded", target=target, reason=report.failure)
        if report.lost_from is not None:
            self._metrics.audit_forward_gaps(target).inc()
            log.warning("audit_lost_to_target", target=target, files_from=report.lost_from)
        if report.crash is not None:
            log.error("audit_forwarder_failed", target=target, exception=report.crash)
