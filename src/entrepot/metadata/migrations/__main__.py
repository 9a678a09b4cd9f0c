"""Writes the newest schema out, for new databases to begin with, after a step was added.

``python -m entrepot.metadata.migrations``
"""

from __future__ import annotations

from entrepot.metadata.revision import NEWEST, written_out

__all__: list[str] = []

if __name__ == "__main__":
    NEWEST.write_text(written_out(), encoding="utf-8")
