"""The files by which container clients are pointed at the cache, and where they go.

Each client reaches more than one registry through one address in its own way:

- containerd, and so k3s and BuildKit, tells a mirror in the query ``ns`` which registry it
  stands for (containerd docs/hosts.md, "Registry Host Namespace"). A mirror with a path
  would get both the path and ``ns``, so the plain address it is.
- Podman, CRI-O, Buildah and Skopeo put a mirror's path before the repository
  (containers-registries.conf(5), "Remapping and mirroring registries").
- dockerd has mirrors for docker.io only, and accepts none with a path.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import yaml
from msgspec import Struct

from entrepot.policy.routing import DOCKER_HUB

__all__ = ["CLIENTS", "Cache", "ClientFile", "ClientSetup"]


class Cache(Struct, frozen=True):
    """The address of the cache: scheme, host and port, nothing after them.

    ``hostnames`` are other names of its host, each by the upstream that it means.
    """

    url: str
    hostnames: Mapping[str, str] = {}

    @property
    def address(self) -> str:
        return urlsplit(self.url).netloc

    def place_of(self, upstream: str) -> str | None:
        """Return what stands before an upstream's repositories in the name of an image, if anything can."""
        if ":" not in upstream:
            return f"{self.address}/{upstream}"
        port = urlsplit(self.url).port  # No path of an image holds a colon: a host name says it all.
        hostname = self.hostnames.get(upstream)
        return f"{hostname}:{port}" if hostname and port else hostname

    @property
    def is_plain(self) -> bool:
        """Whether the cache speaks HTTP without TLS."""
        return self.url.startswith("http://")

    @property
    def is_loopback(self) -> bool:
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


class ClientFile(Struct, frozen=True):
    path: str
    content: str


class ClientSetup(Struct, frozen=True):
    """``notes`` say what else is to be done and known."""

    files: tuple[ClientFile, ...]
    notes: tuple[str, ...]


def _left_out(cache: Cache, upstreams: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"Left out: {name}, for its port; give it hostnames in the cache's configuration: docs/clients.md"
        for name in upstreams
        if cache.place_of(name) is None
    )


def _docker(cache: Cache, upstreams: Sequence[str]) -> ClientSetup:
    daemon: dict[str, list[str]] = {}
    if DOCKER_HUB in upstreams:
        daemon["registry-mirrors"] = [cache.url]
    places = [place for name in upstreams if name != DOCKER_HUB and (place := cache.place_of(name))]
    others = [place for place in places if "/" in place] or [f"{cache.address}/ghcr.io"]
    hosts = [place for place in places if "/" not in place]
    if cache.is_plain and not cache.is_loopback:  # dockerd trusts loopback addresses without TLS by itself.
        daemon["insecure-registries"] = [cache.address, *hosts]
    file = ClientFile("/etc/docker/daemon.json", json.dumps(daemon, indent=2) + "\n")
    return ClientSetup(
        (file,) if daemon else (),
        (
            "Where the file exists, add these keys to it. Then: systemctl reload docker"
            if daemon
            else f"Nothing to write: {DOCKER_HUB} is not among the registries.",
            "dockerd has mirrors for docker.io only. Images of other registries go by the cache's address:",
            *(f"  docker pull {place}/NAME" for place in (others[0], *hosts)),
            *_left_out(cache, upstreams),
        ),
    )


def _containerd(cache: Cache, upstreams: Sequence[str]) -> ClientSetup:
    content = f'[host."{cache.url}"]\n  capabilities = ["pull", "resolve"]\n'
    folders = upstreams or ["_default"]
    apart = "Each file has its own place: redirect one at a time, by one --upstream."
    return ClientSetup(
        tuple(ClientFile(f"/etc/containerd/certs.d/{folder}/hosts.toml", content) for folder in folders),
        (
            *([apart] if len(folders) > 1 else []),
            "In /etc/containerd/config.toml, the registry's config_path must be /etc/containerd/certs.d:",
            '  containerd 2.x: [plugins."io.containerd.cri.v1.images".registry]',
            '  containerd 1.x: [plugins."io.containerd.grpc.v1.cri".registry]',
            '    config_path = "/etc/containerd/certs.d"',
            "Restart containerd if that line is new; hosts.toml is read at every pull.",
            "By hand: ctr images pull --hosts-dir /etc/containerd/certs.d IMAGE",
            "A registry that the cache does not know is pulled from directly.",
        ),
    )


def _podman(cache: Cache, upstreams: Sequence[str]) -> ClientSetup:
    insecure = "insecure = true\n" if cache.is_plain else ""
    tables = (
        f'[[registry]]\nprefix = "{name}"\nlocation = "{name}"\n\n'
        f'[[registry.mirror]]\nlocation = "{place}"\n{insecure}'
        for name in upstreams
        if (place := cache.place_of(name))
    )
    return ClientSetup(
        (ClientFile("/etc/containers/registries.conf.d/50-entrepot.conf", "\n".join(tables)),),
        (
            "Podman, Buildah and Skopeo read it at every call; for CRI-O: systemctl reload crio",
            "For one user only: ~/.config/containers/registries.conf.d/50-entrepot.conf",
            *_left_out(cache, upstreams),
        ),
    )


def _buildkit(cache: Cache, upstreams: Sequence[str]) -> ClientSetup:
    tables = [f'[registry."{name}"]\n  mirrors = ["{cache.address}"]\n' for name in upstreams]
    if cache.is_plain:  # The scheme of a mirror stands in a table of its own (moby/buildkit#2514).
        tables.append(f'[registry."{cache.address}"]\n  http = true\n')
    return ClientSetup(
        (ClientFile("/etc/buildkit/buildkitd.toml", "\n".join(tables)),),
        (
            "Restart buildkitd. For a builder of Buildx: docker buildx create --use --buildkitd-config FILE",
            "The builder's container must reach that address: localhost would be the container itself.",
            "`docker build` without a builder of its own uses /etc/docker/daemon.json instead.",
        ),
    )


def _k3s(cache: Cache, upstreams: Sequence[str]) -> ClientSetup:
    # Names rather than "*": with that, some releases lost the way to registries the cache
    # does not know (k3s-io/k3s#11857).
    mirrors = {name: {"endpoint": [cache.url]} for name in upstreams}
    return ClientSetup(
        (
            ClientFile(
                "/etc/rancher/k3s/registries.yaml", yaml.safe_dump({"mirrors": mirrors}, sort_keys=False)
            ),
        ),
        (
            "On every node, then: systemctl restart k3s (or k3s-agent)",
            "RKE2 reads the same from /etc/rancher/rke2/registries.yaml",
        ),
    )


CLIENTS: dict[str, Callable[[Cache, Sequence[str]], ClientSetup]] = {
    "docker": _docker,
    "containerd": _containerd,
    "podman": _podman,
    "buildkit": _buildkit,
    "k3s": _k3s,
}
