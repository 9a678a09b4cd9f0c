from __future__ import annotations

import errno
import os
import threading
from dataclasses import dataclass, field
from io import BytesIO

import pytest

from entrepot.telemetry import lines
from entrepot.telemetry.lines import LineWriter, write_whole
from entrepot.testing.waiting import PATIENCE, wait_until


@dataclass
class Tally:
    lines: int = 0

    def __call__(self, lines: int) -> None:
        self.lines += lines


@dataclass
class StuckStream(BytesIO):
    """Blocks its writer, as a pipe does that nobody reads, until it is released."""

    entered: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def write(self, lines: object, /) -> int:
        self.entered.set()
        assert self.released.wait(PATIENCE)
        return super().write(lines)  # type: ignore[arg-type]  # bytes, from the log


@dataclass
class FullDisk:
    """Refuses what it is given so many times, then takes it."""

    refusals: int
    taken: list[bytes] = field(default_factory=list)
    emptied: threading.Event = field(default_factory=threading.Event)

    def write(self, lines: bytes) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, "full")
        self.taken.append(lines)
        self.emptied.set()


def _writer(stream: BytesIO) -> tuple[LineWriter, Tally]:
    writer, tally = LineWriter(stream.write, "lines"), Tally()
    writer.dropped = tally
    return writer, tally


def test_closing_writes_every_line_in_order() -> None:
    stream = BytesIO()
    writer, tally = _writer(stream)
    for number in range(1234):
        writer.put(b"%d\n" % number)
    writer.close()
    assert stream.getvalue() == b"".join(b"%d\n" % number for number in range(1234))
    assert tally.lines == 0


def test_an_end_that_comes_when_the_wait_for_more_lines_is_over_is_heard_of() -> None:
    class Late(threading.Event):
        """Is set just after somebody has waited for it in vain."""

        def wait(self, timeout: float | None = None) -> bool:
            del timeout
            self.set()
            writer._arrived.set()
            return False

    stream = BytesIO()
    writer, _ = _writer(stream)
    writer._closing = Late()
    writer.put(b"line\n")
    writer._thread.join(PATIENCE)
    assert not writer._thread.is_alive()
    assert stream.getvalue() == b"line\n"


def test_lines_are_written_without_being_asked_for() -> None:
    stream = StuckStream()
    writer, _ = _writer(stream)
    writer.put(b"line\n")
    assert stream.entered.wait(PATIENCE)
    stream.released.set()
    writer.close()
    assert stream.getvalue() == b"line\n"


def test_beside_a_stuck_stream_lines_are_held_then_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines, "_MOST_BYTES", 8)
    stream = StuckStream()
    writer, tally = _writer(stream)
    writer.put(b"1\n")
    assert stream.entered.wait(PATIENCE)
    for number in range(2, 8):
        writer.put(b"%d\n" % number)
    assert tally.lines == 3
    stream.released.set()
    writer.close()
    assert stream.getvalue() == b"1\n2\n3\n4\n"


def test_what_was_written_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_MOST_BYTES", 8)
    disk, tally = FullDisk(0), Tally()
    writer = LineWriter(disk.write, "lines")
    writer.dropped = tally
    for _ in range(3):
        disk.emptied.clear()
        writer.put(b"1234567\n")
        assert disk.emptied.wait(PATIENCE)
        # The room is given back after the write: the next line may come too early for it.
        wait_until(lambda: writer._taken_bytes == writer._passed_bytes, "the room")
    writer.close()
    assert (disk.taken, tally.lines) == ([b"1234567\n"] * 3, 0)


def test_a_stuck_stream_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_LONGEST_CLOSE", 0.0)
    stream = StuckStream()
    writer, _ = _writer(stream)
    writer.put(b"line\n")
    writer.close()
    stream.released.set()


def test_what_is_refused_is_counted_and_the_thread_goes_on() -> None:
    disk, tally = FullDisk(1), Tally()
    writer = LineWriter(disk.write, "lines", batch_bytes=2)
    writer.dropped = tally
    writer.put(b"x\n")
    writer.put(b"y\n")
    writer.close()
    assert (tally.lines, disk.taken) == (1, [b"y\n"])


def test_no_more_is_written_at_once_than_is_allowed() -> None:
    stream, taken = StuckStream(), list[bytes]()

    def write(lines: bytes) -> None:
        taken.append(lines)
        stream.write(lines)

    writer = LineWriter(write, "lines", batch_bytes=6)
    writer.put(b"0\n")
    assert stream.entered.wait(PATIENCE)
    for line in (b"1\n", b"2\n", b"3\n", b"4\n", b"too long\n", b"5\n"):
        writer.put(line)
    stream.released.set()
    writer.close()
    assert taken == [b"0\n", b"1\n2\n3\n", b"4\n", b"too long\n", b"5\n"]


def test_what_is_to_be_retried_is_written_when_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_RETRY_SECONDS", 0.0)
    disk, tally = FullDisk(3), Tally()
    writer = LineWriter(disk.write, "lines", retries=True)
    writer.dropped = tally
    writer.put(b"line\n")
    assert disk.emptied.wait(PATIENCE)
    writer.close()
    assert (disk.taken, tally.lines) == ([b"line\n"], 0)


def test_the_end_waits_for_no_retry() -> None:
    disk, tally = FullDisk(1000), Tally()
    writer = LineWriter(disk.write, "lines", retries=True)
    writer.dropped = tally
    writer.put(b"line\n")
    writer.close()
    assert (disk.taken, tally.lines) == ([], 1)


def test_a_descriptor_that_takes_a_little_at_a_time_gets_all() -> None:
    reading, writing = os.pipe()
    content = bytes(range(256)) * 4096
    thread = threading.Thread(target=write_whole, args=(writing, content))
    thread.start()
    read = b""
    while len(read) < len(content):
        read += os.read(reading, 1 << 16)
    thread.join(PATIENCE)
    os.close(reading)
    os.close(writing)
    assert read == content
