"""What ``entrepot doctor`` looks at on this machine: the data folder, its disk, open files, the port.

Looking and judging are apart: the judges take facts and are tested by tables.
"""

from __future__ import annotations

import errno
import getpass
import os
import resource
import socket
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from entrepot.cli.api_client import ApiFailed, own_client, token_of
from entrepot.cli.findings import Finding, fine, problem, warning
from entrepot.cli.tables import size
from entrepot.config.bounds import bounds_on
from entrepot.config.data_folder import find_data_folder, is_writable, readable
from entrepot.config.forms import parse_listen
from entrepot.config.schema import Settings
from entrepot.errors import SettingsInvalid
from entrepot.policy.budget import Bounds
from entrepot.standalone import holder_of

__all__ = [
    "check_budget",
    "check_machine",
    "file_system_of",
    "judge_budget",
    "judge_disk",
    "judge_file_system",
    "judge_files",
]

_SYSTEM_FOLDER, _LOCAL_FOLDER = Path("/var/lib/entrepot"), Path("data")
_MOUNTS = Path("/proc/self/mountinfo")
_IN_MEMORY = ("tmpfs", "ramfs")
_OF_CONTAINERS = ("overlay", "aufs")
_OVER_A_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "glusterfs", "lustre", "beegfs")
_FEW_FILES, _TOO_FEW_FILES = 4096, 256
_FEW_INODES = 10_000
_SMALL_BUDGET = 1 << 30
_SECONDS = 5.0


def check_machine(settings: Settings) -> Iterator[Finding]:
    folder = _data_folder(settings.data)
    yield _check_folder(folder)
    yield from _check_holder(folder)
    place = _existing(folder)
    yield judge_file_system(str(folder), file_system_of(place, _mounts()))
    yield from _check_disk(place, settings)
    yield judge_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield from _check_port(settings, is_held=holder_of(folder) is not None)


def check_budget(settings: Settings) -> Iterator[Finding]:
    """Compare the budget with the disk of the data folder: what cannot be looked at is left out."""
    with suppress(OSError):
        disk = os.statvfs(_existing(_data_folder(settings.data)))
        yield from judge_largest(disk.f_blocks * disk.f_frsize, settings)


def judge_file_system(folder: str, kind: str | None) -> Finding:
    named = f"{folder} is on {kind or 'a file system of unknown kind'}"
    if kind in _IN_MEMORY:
        return warning(
            "file system", f"{named}, which is in memory", "use a disk: a restart of the machine costs all"
        )
    if kind in _OF_CONTAINERS:
        return warning(
            "file system",
            f"{named}, a container's own",
            "mount a volume there: its content goes with the container",
        )
    if kind is not None and (kind in _OVER_A_NETWORK or kind.startswith("fuse.")):
        advice = (
            "use a local disk: locks and the database's log are not safe everywhere over a network, nor fast"
        )
        return warning("file system", f"{named}, which is another machine's or a program's", advice)
    return fine("file system", named)


def judge_disk(free: int, total: int, free_inodes: int | None, bounds: Bounds) -> Iterator[Finding]:
    """Compare a disk with the budget; ``free_inodes`` is ``None`` where there is no such number."""
    most = bounds.max_size
    told = f"{size(free)} of {size(total)} free, {size(bounds.min_free)} of it to stay so"
    told = f"{told}; the cache may take {'all else' if most is None else size(most)}"
    if free <= bounds.min_free:
        advice = "make room on it, or lower cache.min_free: the cache gives up content until so much is free"
        yield warning("disk", told, advice)
    elif most is not None and most > total - bounds.min_free:
        yield warning("disk", told, "lower cache.max_size: so much is never free; the disk is the limit")
    else:
        yield fine("disk", told)
    if free_inodes is not None and free_inodes < _FEW_INODES:
        yield warning(
            "disk", f"{free_inodes} more files can be made", "make room: each blob is a file of its own"
        )


def judge_budget(max_size: int | None) -> Iterator[Finding]:
    if max_size is not None and max_size < _SMALL_BUDGET:
        advice = "raise it to 1GiB or more: what is larger than it is never kept"
        yield warning("budget", f"cache.max_size is {size(max_size)}", advice)


def judge_largest(total: int, settings: Settings) -> Iterator[Finding]:
    bounds = bounds_on(total, settings)
    if bounds.max_size is not None and bounds.max_size > total:
        told = f"cache.max_size is {size(bounds.max_size)}, and the whole file system has {size(total)}"
        yield warning("budget", told, "lower it: the disk is the limit")
    yield from judge_budget(bounds.max_size)


def judge_files(most: int) -> Finding:
    told = f"a process started here may open {'any number of' if most < 0 else most} files"
    advice = "raise it, as by LimitNOFILE=65536 in the unit of systemd: a client takes up to four"
    if 0 <= most < _TOO_FEW_FILES:
        return problem("open files", told, advice)
    return warning("open files", told, advice) if 0 <= most < _FEW_FILES else fine("open files", told)


def file_system_of(place: Path, mounts: Iterable[str]) -> str | None:
    """Find the kind of the file system of ``place`` in the lines of mountinfo (proc(5))."""
    best, kind = -1, None
    for line in mounts:
        fields, dash, rest = line.partition(" - ")
        point = fields.split()[4].encode().decode("unicode_escape") if dash else ""
        if point and (place == Path(point) or Path(point) in place.parents) and len(point) >= best:
            best, kind = len(point), rest.split()[0]
    return kind


def _data_folder(configured: str | None) -> Path:
    """Choose as the server would, and make nothing."""
    if configured is not None:
        return readable(Path(configured))
    with suppress(SettingsInvalid):
        return find_data_folder(None)
    return (_SYSTEM_FOLDER if is_writable(_existing(_SYSTEM_FOLDER)) else _LOCAL_FOLDER).absolute()


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if _is_there(place))


def _is_there(path: Path) -> bool:
    """Tell what can be told: what lies in a folder of another user counts as not there."""
    try:
        return path.exists()
    except PermissionError:
        return False


def _check_folder(folder: Path) -> Finding:
    place, who = _existing(folder), _user()
    if not place.is_dir():
        return problem(
            "data folder", f"{place} is no folder", "name another by data, --data or ENTREPOT_DATA"
        )
    for path in _closed(folder):  # As after a start by root: one tells of all.
        advice = f"give the folder, with all in it, to the user that serves: chown -R USER {folder}"
        return problem("data folder", f"{path} may not be used by {who}", advice)
    if not is_writable(place):
        if _is_there(folder / "entrepot.db"):
            advice = "make it writable for the user that serves: nothing new is kept meanwhile"
            return warning("data folder", f"{folder} may only be read by {who}", advice)
        advice = f"make {folder} for the user that serves, or name another by data or ENTREPOT_DATA"
        return problem("data folder", f"{place} may not be written by {who}", advice)
    if place != folder:
        return fine("data folder", f"{folder} will be made at the first start")
    return fine("data folder", f"{folder} may be written by {who}")


def _closed(folder: Path) -> Iterator[Path]:
    """Yield what a cache has made there and cannot go on with: what it reads at the start, or writes to."""
    files, folders = (folder / "entrepot.lock", folder / "entrepot.db"), list[Path]()
    mode = os.R_OK
    if is_writable(folder):
        mode |= os.W_OK
        folders = [folder / "spool", folder / "audit", folder / "blobs", *folder.glob("blobs/*/")]
        folders += folder.glob("blobs/*/*/")
    yield from (path for path in files if _is_there(path) and not os.access(path, mode))
    yield from (path for path in folders if _is_there(path) and not is_writable(path))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # As in containers, whose users have no names.
        return f"user {os.getuid()}"


def _check_holder(folder: Path) -> Iterator[Finding]:
    holder = holder_of(folder) if _is_there(folder) and folder.is_dir() else None
    if holder is not None:
        yield fine("data folder", f"it is held by process {holder}{_named(holder)}")


def _named(process: str) -> str:
    with suppress(OSError):
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        return f": {b' '.join(words).decode(errors='replace').strip()}"
    return ""


def _mounts() -> list[str]:
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _check_disk(place: Path, settings: Settings) -> Iterator[Finding]:
    try:
        disk = os.statvfs(place)
    except OSError as failure:
        yield problem("disk", f"{place}: {failure.strerror}", "check the disk")
        return
    total = disk.f_blocks * disk.f_frsize
    inodes = disk.f_favail if disk.f_files else None
    bounds = bounds_on(total, settings)
    yield from judge_disk(disk.f_bavail * disk.f_frsize, total, inodes, bounds)
    yield from judge_budget(bounds.max_size)


def _check_port(settings: Settings, *, is_held: bool) -> Iterator[Finding]:
    host, port = parse_listen(settings.listen)
    failure = _bind(host, port)
    if failure is None:
        if is_held:
            advice = (
                "wait until it is ready, or see its log; it may serve another address than is configured here"
            )
            yield warning("cache", f"one runs on this data folder, and not on {settings.listen}", advice)
        else:
            yield fine("port", f"{settings.listen} is free, no cache runs there")
    elif failure.errno == errno.EADDRINUSE:
        yield from _check_cache(settings)
    elif failure.errno in (errno.EACCES, errno.EPERM):
        advice = "choose a port above 1023, or let the service have CAP_NET_BIND_SERVICE"
        yield problem("port", f"{settings.listen} may not be used by {_user()}", advice)
    else:
        advice = "correct listen: it must be an address of this machine"
        yield problem("port", f"{settings.listen}: {failure.strerror or failure}", advice)


def _bind(host: str | None, port: int) -> OSError | None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found[:1]:
            with closing(socket.socket(family, kind, protocol)) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as failure:
        return failure
    return None


def _check_cache(settings: Settings) -> Iterator[Finding]:
    """Tell who has the port: a cache, which takes the token, or something else."""
    try:
        told = own_client(settings, "", within=_SECONDS).readiness()
        is_cache = isinstance(told, dict) and "status" in told
    except ApiFailed:
        told, is_cache = {}, False
    if not is_cache:
        _, port = parse_listen(settings.listen)
        advice = f"stop what has it (ss -ltnp 'sport = :{port}' tells), or set listen to another"
        yield problem("port", f"{settings.listen} is in use, and not by a cache that answers", advice)
        return
    yield fine("cache", f"it runs on {settings.listen} and is {told['status']}")
    for key in ("reason", "warning"):
        if key in told:
            yield warning("cache", told[key], "see its log")
    if settings.admin.enabled:
        yield _check_token(settings)


def _check_token(settings: Settings) -> Finding:
    try:
        own_client(settings, token_of(settings), within=_SECONDS).call("GET", "/cache")
    except ApiFailed as failed:
        found, _, _ = failed.message.partition("; ")  # What follows names options of other commands.
        return warning("token", found, "name the token of the cache that runs by admin.token_file")
    return fine("token", "the running cache takes the administrator's token")
