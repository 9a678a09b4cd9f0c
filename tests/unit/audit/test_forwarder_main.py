"""What the process that forwards does where its cache, or what it could tell of itself, is gone."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec

from entrepot.audit.messages import Order
from entrepot.testing.programs import run
from entrepot.testing.waiting import PATIENCE

COMMAND = (sys.executable, "-P", "-m", "entrepot.audit.forwarder_main")


def test_without_an_order_there_is_nothing_to_do() -> None:
    assert run(*COMMAND) == ""


def test_it_ends_with_a_thread_that_failed_though_nobody_reads_of_it() -> None:
    order = Order("a folder that \0 cannot be", 42, syslog="udp://127.0.0.1:1")
    unread, closed = os.pipe()
    os.close(unread)
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=closed) as process:
        os.close(closed)
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        process.stdin.flush()
        assert process.wait(PATIENCE) == 70
