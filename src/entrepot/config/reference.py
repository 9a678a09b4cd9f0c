"""Writes docs/configuration.md from the schema: ``python -m entrepot.config.reference > FILE``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import chain

from msgspec import NODEFAULT, inspect
from msgspec.structs import replace

from entrepot.config.environment import variable_name
from entrepot.config.kinds import SETTINGS, Kind, describe, fields_of, kind_of, member_of
from entrepot.config.schema import DEFAULT_UPSTREAMS
from entrepot.config.show import plain

__all__ = ["render_reference"]

_INTRODUCTION = """\
# Configuration

Entrepot runs without any configuration. What is set counts in this order: options of the command line,
environment variables, the file, the defaults below. The file is YAML, given by `entrepot serve --config FILE`
or the variable `ENTREPOT_CONFIG`; [entrepot.example.yaml](entrepot.example.yaml) is one to start from.

- `entrepot config check` tells every problem with its line, its key and what is expected, and exits with 2.
- `entrepot config show` prints what is in force, secrets hidden; `entrepot config schema` a JSON schema.
- SIGHUP makes a running Entrepot read its configuration again; a wrong one is refused and the old one stays.
  `upstreams`, `default_upstream`, `sync`, `cache`, `trusted_proxies`, `drain_timeout`, `log.level` and TLS
  certificates renewed in their files change at once; `listen`, `data`, `cache.memory`, `cache.scrub`,
  `admin`, `audit`, `telemetry`, `warm`, the names of the `tls` files, `log.access` and `log.format` at the
  next start. `settings_reloaded` in the log names what waits for it.

A **duration** is written `500ms`, `30s`, `5m`, `12h`, `30d` or as a number of seconds. A **size** is written
`64KiB`, `500MB`, `200GiB` or as a number of bytes, a **percentage** `80%`. A **pattern** is matched like a
shell's file name, and its `*` matches slashes too. The path of a **file** or **folder** starts from the
configuration file's folder, or, given elsewhere, from the working folder; `~` is a home folder. Text is taken
as it is written: a password of digits needs no quotes.

## Registries of your own

Upstreams of the file take the place of the ten that are built in: name each that you still want, with nothing
behind it where its defaults will do.

```yaml
upstreams:
  docker.io:
    username: me                        # a user of Docker Hub may pull more often than nobody
    password_file: /etc/entrepot/hub    # or password; a token will do
  ghcr.io:
  quay.io:
  registry.example:5000:
    endpoints: [http://registry.example:5000]    # without it, https://registry.example:5000
```

What is said without a file keeps the ten: `--upstream registry.example:5000=http://registry.example:5000`
adds one to them, and the variables below give one of them its credential.

## Environment variables

A setting's variable is `ENTREPOT_` and its name in capitals, with `__` between levels: `cache.max_size` is
`ENTREPOT_CACHE__MAX_SIZE`. In an upstream's name, `_` stands for all that is neither letter nor digit: the
user name for `docker.io` is `ENTREPOT_UPSTREAMS__DOCKER_IO__USERNAME`, that for `registry.local:5000` is
`ENTREPOT_UPSTREAMS__REGISTRY_LOCAL_5000__USERNAME`. The upstream must be there already: built in, in the
file, by `--upstream`, or by `ENTREPOT_UPSTREAMS`, which holds all upstreams at once as YAML or JSON.

Lists are separated by commas, or a YAML or JSON list; sections are YAML or JSON. A variable that is set to
nothing counts as not set. Variables that begin with `ENTREPOT_` and name no setting are refused, but for
`ENTREPOT_CONFIG`, those that name a cache to the [commands](cli.md) (`ENTREPOT_URL`, `ENTREPOT_TOKEN_FILE`,
`ENTREPOT_CA_FILE`) and those by which Kubernetes announces a service of this name (`ENTREPOT_SERVICE_HOST`,
`ENTREPOT_PORT_5000_TCP` and so on; `ENTREPOT_PORT` where its value is like `tcp://10.0.0.1:5000`).
"""


def render_reference() -> str:
    return "\n".join([_INTRODUCTION, *_sections("Settings", (), SETTINGS)])


def _sections(title: str, path: tuple[str, ...], section: Kind) -> Iterator[str]:
    """Yield the heading and table of a section's own settings, then the sections in it."""
    rows, inner = [], []
    for name, field in fields_of(section).items():
        kind, here = kind_of(field.type), (*path, name)
        member = member_of(kind)
        if fields_of(kind):
            inner.append(_sections(_heading(here), here, kind))
        elif member and fields_of(member):
            is_list = isinstance(kind.type, inspect.VarTupleType)
            there = (*path, f"{name}[]") if is_list else (*here, "NAME")
            rows.append(_row(here, field, kind))
            inner.append(_sections(_heading(there), there, replace(member, meaning=kind.meaning)))
        else:
            rows.append(_row(here, field, kind))
    meaning = [section.meaning, ""] if section.meaning else []
    table = ["| Setting | Type | Default | Variable | Meaning |", "|---|---|---|---|---|", *rows]
    yield "\n".join([f"## {title}", "", *meaning, *table, ""])
    yield from chain.from_iterable(inner)


def _heading(path: tuple[str, ...]) -> str:
    return f"`{'.'.join(path)}`"


def _row(path: tuple[str, ...], field: inspect.Field, kind: Kind) -> str:
    variable = "" if any("[" in name for name in path) else f"`{variable_name(*path)}`"
    cells = (f"`{path[-1]}`", describe(kind), _default(field), variable, kind.meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    value = field.default_factory() if field.default is NODEFAULT else field.default
    if value == DEFAULT_UPSTREAMS:
        return ", ".join(f"`{name}`" for name in DEFAULT_UPSTREAMS)
    return f"`{_text(value)}`" if value not in (None, ()) else "none"


def _text(value: object) -> str:
    return json.dumps(plain(value)).strip('"')


if __name__ == "__main__":
    sys.stdout.write(render_reference())
