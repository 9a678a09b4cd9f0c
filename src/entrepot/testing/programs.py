"""Real programs for end-to-end tests and benchmarks: started, awaited and ended by their own handle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError
from urllib.request import urlopen

from entrepot.testing.exchange import ask
from entrepot.testing.ports import free_port
from entrepot.testing.waiting import PATIENCE, wait_until

__all__ = ["CacheProgram", "Program", "RegistryProgram", "answers", "children", "has_ended", "run"]


def answers(url: str) -> bool:
    """Tell whether a GET of ``url`` is answered with a 2xx."""
    try:
        with urlopen(url, timeout=10) as answer:  # noqa: S310 -- a loopback URL of our own making
            return 200 <= int(answer.status) < 300
    except (URLError, OSError):
        return False


def run(*arguments: str, environment: Mapping[str, str] | None = None, within: float = PATIENCE) -> str:
    """Run a program to its end and return what it printed; a failure shows both outputs."""
    done = subprocess.run(  # noqa: S603 -- the caller's own argument list
        arguments,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, **(environment or {})},
        timeout=within,
        check=False,
    )
    if done.returncode != 0:
        output = (done.stdout + done.stderr).decode(errors="replace")
        raise RuntimeError(f"{' '.join(arguments)} exited with {done.returncode}:\n{output}")
    return done.stdout.decode()


def children(pid: int) -> set[int]:
    """Return the processes that a process has started and not buried (Linux)."""
    found: set[int] = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # A thread that has just ended.
            found.update(map(int, (thread / "children").read_text().split()))
    return found


def has_ended(pid: int) -> bool:
    """Tell whether a process has ended, though nobody may have buried it (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"X", "Z"}
    except (FileNotFoundError, ProcessLookupError):
        return True


class Program:
    """One child process in a session of its own, its output in a file.

    As a context manager it is running inside and gone outside.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        *,
        ready: Callable[[], bool] = lambda: True,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.arguments = list(arguments)
        self.log = log
        self._ready = ready
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.arguments[0]} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and return when ready; a program that ends before that is a failure that shows its log."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 -- the caller's own argument list
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                start_new_session=True,
            )
        try:
            wait_until(lambda: not self.running or self._ready(), f"{self.arguments[0]} ready")
        except TimeoutError as error:
            self.kill()
            error.add_note(self.tail())
            raise
        if not self.running:
            raise RuntimeError(f"{' '.join(self.arguments)} ended while starting:\n{self.tail()}")

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def stop(self, within: float = PATIENCE) -> int | None:
        """Ask the program to end, insist after ``within`` seconds; return its exit code."""
        if self._process is None:
            return None
        self._process.terminate()
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)

    def said(self, since: int = 0) -> str:
        """Return its output from a byte on, however much has followed."""
        return self.log.read_bytes()[since:].decode(errors="replace") if self.log.exists() else ""

    def tail(self, size: int = 4000) -> str:
        """Return the end of its output, for who reads it: what a test looks for may be further up."""
        return self.said(-size)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class RegistryProgram(Program):
    """Debian's docker-registry over a folder: a real upstream, or with ``remote`` a peer to measure."""

    def __init__(self, folder: Path, *, remote: str | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        settings: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
            "http": {"addr": f"127.0.0.1:{self.port}", "secret": "entrepot"},
        }
        if remote is not None:
            settings["proxy"] = {"remoteurl": remote}
        config = folder / "config.yml"
        config.write_text(json.dumps(settings))
        super().__init__(
            ["docker-registry", "serve", str(config)],
            folder / "registry.log",
            ready=lambda: answers(f"{self.url}/v2/"),
        )

    def requests(self, part: str = "/v2/") -> list[str]:
        """Return the lines of the access log that name ``part`` of a path."""
        return [line for line in self.log.read_text().splitlines() if '" 2' in line and part in line]


class CacheProgram(Program):
    """The cache itself, as a user starts it: a file of settings, a folder and a port that outlive restarts.

    ``upstreams`` pairs names with endpoint URLs or with their full settings; further
    settings are named as in the file, and may be changed before they are written again.
    """

    def __init__(self, folder: Path, upstreams: Mapping[str, str | dict[str, Any]], **settings: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = Path(settings.pop("data", folder / "data"))
        self.config = folder / "entrepot.yaml"
        self.settings = settings
        folder.mkdir(parents=True, exist_ok=True)
        self.configure(upstreams)
        super().__init__(
            [sys.executable, "-m", "entrepot", "serve", "--config", str(self.config)],
            folder / "entrepot.log",
            ready=lambda: answers(f"{self.url}/readyz"),
        )

    def configure(self, upstreams: Mapping[str, str | dict[str, Any]]) -> None:
        """Write the file of settings; JSON is YAML."""
        document = {
            "listen": f"127.0.0.1:{self.port}",
            "data": str(self.data),
            "default_upstream": next(iter(upstreams)),
            "upstreams": {
                name: {"endpoints": [value]} if isinstance(value, str) else value
                for name, value in upstreams.items()
            },
            **self.settings,
        }
        self.config.write_text(json.dumps(document, indent=2))

    def restart(self) -> None:
        self.stop()
        self.start()

    def reload(self) -> None:
        self.signal(signal.SIGHUP)

    def series(self) -> dict[str, float]:
        """Return all metrics: what names a series, its labels too, and its value."""
        lines = ask(self.url, "/metrics").body.decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line[0] != "#")
        return {name: float(value) for name, value in pairs}

    def values(self, metric: str) -> list[float]:
        """Return the values of a metric, one for each combination of its labels."""
        return [value for name, value in self.series().items() if name.partition("{")[0] == metric]

    def wait_for_fills(self, within: float = PATIENCE) -> None:
        """Return when no fill runs: whoever reads has the last bytes before the disk has synced them."""
        wait_until(self._has_no_fills, "the end of the fills", within)

    def _has_no_fills(self) -> bool:
        running = self.values("entrepot_fills_running")
        return bool(running) and not any(running)
