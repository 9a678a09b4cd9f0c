"""One thread for all large answers that need no disk: whoever can take more gets a little, in turn."""

from __future__ import annotations

import select
import time
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from msgspec import Struct, field

from entrepot.http.server.outlet import Outlet
from entrepot.http.server.zerocopy import is_in_memory, send_some

__all__ = ["Turns", "needs_no_disk"]

_TURN_BYTES = 1 << 20
_PATIENCE = 0.05


class _Step(Struct):
    outlet: Outlet
    socket: int
    file: int
    offset: int
    left: int
    moved: float
    sent: int = 0
    done: Future[int] = field(default_factory=Future)


class Turns:
    """Several threads would fight for the interpreter, and with the clients for the processors.

    A turn is short, so that clients of one file stay close together, where its bytes are in the
    processor's own memory still.  The thread never knowingly waits for the disk, nor for a client.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._steps: dict[int, _Step] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="turns")
        self._runs = False
        self._lock = Lock()
        """Of what is above; held while nothing is waited for."""

    def close(self) -> None:
        """Do not wait: steps end by themselves, as their clients are gone."""
        self._thread.shutdown(wait=False)

    def take(self, outlet: Outlet, socket: int, file: int, offset: int, count: int) -> Future[int]:
        """Send ``count`` bytes; the result tells how many, before the client was slow or the disk needed.

        ``socket`` and ``file`` must stay open until then, whatever happens; to cancel is of no effect.
        What goes wrong behind the first byte is left to whoever goes on from there.
        """
        step = _Step(outlet, socket, file, offset, count, time.monotonic())
        step.done.set_running_or_notify_cancel()
        with self._lock:
            self._epoll.register(socket, select.EPOLLOUT)
            self._steps[socket] = step
            if not self._runs:
                self._thread.submit(self._run)
                self._runs = True
        return step.done

    def _run(self) -> None:
        """Go on until nobody has come for a while."""
        looked = time.monotonic()
        while True:
            ready = self._epoll.poll(_PATIENCE)
            now = time.monotonic()
            with self._lock:
                steps = [self._steps[socket] for socket, _ in ready]
            for step in steps:
                self._give_turn(step, now)
            if now - looked > _PATIENCE:
                looked = now
                self._let_go(now - _PATIENCE)
            with self._lock:
                if not ready and not self._steps:
                    self._runs = False
                    return

    def _give_turn(self, step: _Step, now: float) -> None:
        most = min(step.left, _TURN_BYTES)
        if step.outlet.gone or not needs_no_disk(step.file, step.offset, most):
            self._end(step)
            return
        try:
            sent = send_some(step.socket, step.file, step.offset, most)
        except (OSError, EOFError) as failure:
            self._end(step, failure)
            return
        step.offset += sent
        step.left -= sent
        step.sent += sent
        if sent:
            step.moved = now
        if not step.left:
            self._end(step)

    def _let_go(self, before: float) -> None:
        """Give up those whose sockets have been full since ``before``, or gone."""
        with self._lock:
            slow = [step for step in self._steps.values() if step.moved < before or step.outlet.gone]
        for step in slow:
            self._end(step)

    def _end(self, step: _Step, failure: Exception | None = None) -> None:
        with self._lock:
            self._epoll.unregister(step.socket)
            del self._steps[step.socket]
        if failure is None or step.sent:
            step.done.set_result(step.sent)
        else:
            step.done.set_exception(failure)


def needs_no_disk(file: int, offset: int, count: int) -> bool:
    """Tell whether the next turn finds its bytes in memory, as both its ends are; no is for unknown too."""
    last = offset + min(count, _TURN_BYTES) - 1
    return all(is_in_memory(file, place, unknown=False) for place in (offset, last))
