"""Looking at a cache again and again, until whoever looks has had enough."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

__all__ = ["INTERRUPTED", "looks", "until_interrupted"]

INTERRUPTED = 130
"""What shells say of a program that Ctrl-C has ended."""


def looks(seconds: float) -> Iterator[None]:
    """Yield at once, and then every so many ``seconds``, without an end."""
    while True:
        yield
        time.sleep(seconds)


@contextmanager
def until_interrupted() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise click.exceptions.Exit(INTERRUPTED) from None
