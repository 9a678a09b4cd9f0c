"""The process of the cache: what it is given before the event loop runs, and the signals that steer it."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import uvloop

from entrepot.app import Application
from entrepot.config.data_folder import prepare_data_folder
from entrepot.config.schema import Settings
from entrepot.http.server.limits import raise_descriptor_limit
from entrepot.http.server.memory import tune_memory
from entrepot.storage.lock import FolderLock
from entrepot.telemetry.events import Events
from entrepot.telemetry.lines import LineWriter, write_whole
from entrepot.telemetry.log import configure_log
from entrepot.telemetry.otlp import exporting

__all__ = ["serve"]


def serve(settings: Settings, reload: Callable[[], Settings]) -> int:
    """Run the cache until SIGTERM or SIGINT; return the exit status.

    ``reload`` reads the settings anew, at SIGHUP.  Raises ``EntrepotError`` where the data
    folder cannot be used, or nobody can be listened to.
    """
    lines = LineWriter(partial(write_whole, sys.stderr.fileno()), "log")
    telemetry = settings.telemetry
    traced = exporting(telemetry.otlp_endpoint, telemetry.trace_share / 100, telemetry.trace_hits)
    with closing(lines), traced:
        events, coloured = Events(), sys.stderr.isatty()
        configure_log(settings.log.level, settings.log.format, lines, events, coloured=coloured)
        raise_descriptor_limit()
        tune_memory()
        folder = prepare_data_folder(settings.data)
        lock = FolderLock(folder)
        try:
            return uvloop.run(_run(settings, reload, folder, lines, events))
        finally:
            lock.release()


async def _run(
    settings: Settings, reload: Callable[[], Settings], folder: Path, lines: LineWriter, events: Events
) -> int:
    application = Application(settings, folder, lines, events)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    handlers = {
        signal.SIGTERM: stop.set,
        signal.SIGINT: stop.set,
        signal.SIGHUP: lambda: application.reload(reload),
    }
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        await application.start()
        gc.freeze()
        await stop.wait()
    finally:
        await application.stop()
        for number in handlers:  # Whoever asks twice is not to cut off the last lines of the log.
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
    return 0
