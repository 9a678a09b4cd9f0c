from __future__ import annotations

import threading
from pathlib import Path

from benchmarks.soak.folder import sizes

from entrepot.testing.waiting import PATIENCE


def test_a_download_that_becomes_a_blob_while_it_is_measured_is_never_both(tmp_path: Path) -> None:
    spool, blob = tmp_path / "spool" / "1", tmp_path / "blobs" / "1"
    for path in (spool, blob):
        path.parent.mkdir()
    empty = sizes(tmp_path)
    assert (empty.total > 0, empty.spool) == (True, 0)
    spool.write_bytes(bytes(1 << 20))
    end = threading.Event()

    def move() -> None:
        while not end.is_set():
            spool.rename(blob)
            blob.rename(spool)

    moving = threading.Thread(target=move)
    moving.start()
    found = [sizes(tmp_path) for _ in range(500)]
    end.set()
    moving.join(PATIENCE)
    assert max(one.total - one.spool for one in found) <= empty.total + (1 << 20)
