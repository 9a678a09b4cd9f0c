"""A collector that takes what is posted to it: JSON, at any path."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

__all__ = ["Collector", "Posted"]


class Posted(NamedTuple):
    """``headers`` by lower-case name; ``body`` as it was parsed."""

    path: str
    headers: dict[str, str]
    body: Any


class Collector(ThreadingHTTPServer):
    """Keeps what it is posted, and answers with ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 204
        self.posted: list[Posted] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @classmethod
    @contextmanager
    def in_thread(cls) -> Iterator[Self]:
        with cls() as collector:
            thread = threading.Thread(target=collector.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield collector
            finally:
                collector.shutdown()
                thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.posted.append(Posted(self.path, headers, json.loads(body)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: tests look at what was posted."""
