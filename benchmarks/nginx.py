"""nginx over the content: the limit that caches are measured against, and the upstream they fetch from."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.content import MANIFEST_TYPE, Content

from entrepot.testing.certificates import certify
from entrepot.testing.ports import free_port
from entrepot.testing.programs import Program, answers

__all__ = ["Nginx"]

_CONFIG = """
{user}
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  sendfile on;
  tcp_nopush on;
  keepalive_requests 10000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  log_format counted '$request_method $uri $status $body_bytes_sent';
  types {{ }}
  server {{
    listen 127.0.0.1:{static_port} backlog=1024;
    access_log off;
    {locations}
  }}
  server {{
    listen 127.0.0.1:{tls_port} ssl backlog=1024;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    access_log off;
    {locations}
  }}
  server {{
    listen 127.0.0.1:{upstream_port} backlog=1024;
    access_log {folder}/access.log counted;
    {locations}
  }}
  server {{
    listen 127.0.0.1:{collector_port} backlog=1024;
    access_log off;
    client_max_body_size 0;
    return 204;
  }}
}}
"""

_LOCATIONS = """
    root {root};
    default_type application/octet-stream;
    location = /v2/ {{
      default_type application/json;
      return 200 '{{}}';
    }}
    location ~ ^/v2/.+/manifests/ {{
      default_type {manifest_type};
      add_header Docker-Content-Digest {manifest};
    }}
"""


class Nginx(Program):
    """``url`` serves without a log, as the limit; ``upstream_url`` serves the same and counts.

    ``tls_url`` is as ``url``, with a certificate that is its own ``authority``.
    ``collector_url`` takes whatever it is posted.
    """

    def __init__(self, folder: Path, content: Content) -> None:
        folder.mkdir()
        static_port, upstream_port, tls_port, collector_port = (free_port() for _ in range(4))
        self.url = f"http://127.0.0.1:{static_port}"
        self.upstream_url = f"http://127.0.0.1:{upstream_port}"
        self.tls_url = f"https://127.0.0.1:{tls_port}"
        self.collector_url = f"http://127.0.0.1:{collector_port}"
        # Of RSA, as registries have them, for the key's size is part of the handshake.
        made = certify(folder, "upstream", of="IP:127.0.0.1", key=["rsa:2048"])
        self.authority = Path(made.certificate)
        self._access_log = folder / "access.log"
        locations = _LOCATIONS.format(
            root=content.root, manifest_type=MANIFEST_TYPE, manifest=content.manifest
        )
        config = folder / "nginx.conf"
        config.write_text(
            _CONFIG.format(
                user="user root;" if os.geteuid() == 0 else "",
                folder=folder,
                static_port=static_port,
                upstream_port=upstream_port,
                tls_port=tls_port,
                certificate=made.certificate,
                key=made.key,
                collector_port=collector_port,
                locations=locations,
            )
        )
        super().__init__(
            ["nginx", "-c", str(config), "-e", str(folder / "error.log")],
            folder / "nginx.log",
            ready=lambda: answers(f"{self.url}/v2/"),
        )

    def requests(self, part: str = "/v2/") -> int:
        """Count the upstream's requests whose path holds ``part``."""
        return len(self._counted(part))

    def bytes_sent(self, part: str) -> int:
        """Add up the bodies of those requests."""
        return sum(int(line.rsplit(" ", 1)[1]) for line in self._counted(part))

    def _counted(self, part: str) -> list[str]:
        return [line for line in self._access_log.read_text().splitlines() if part in line]
