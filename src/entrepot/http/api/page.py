"""The API's description as a page to read, made from its OpenAPI document; it loads nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

__all__ = ["BrowsablePage"]

_Document = Mapping[str, Any]

_CODE = re.compile("`([^`]*)`")

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
details{border:1px solid #8884;border-radius:6px;margin:.4rem 0;padding:.3rem .8rem}
summary{cursor:pointer}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:#8881;padding:.6rem;border-radius:6px;overflow:auto}
table{border-collapse:collapse;width:100%}
td{border-top:1px solid #8884;padding:.25rem .5rem;vertical-align:top}
.method{display:inline-block;min-width:3.5rem;font-weight:600}:root{color-scheme:light dark}
"""


class BrowsablePage(OpenAPIRenderPlugin):
    """Made when it is first asked for."""

    _page: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        if self._page is None:
            schema = msgspec.json.decode(self.render_json(request, openapi_schema))
            self._page = _write(schema, self.get_openapi_json_route(request))
        return self._page


def _write(schema: _Document, route: str) -> bytes:
    info = schema["info"]
    title = escape(f"{info['title']} {info['version']}")
    body = "".join(_operations(schema))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"
        f"<p>{escape(info['description'])} The same for programs: "
        f'<a href="{route}">openapi.json</a>.</p>{body}</html>'
    ).encode()


def _operations(schema: _Document) -> Iterator[str]:
    noun = None
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            if operation["tags"] != noun:
                noun = operation["tags"]
                yield f"<h2>{escape(noun[0].capitalize())}</h2>"
            yield _operation(path, method.upper(), operation, schema)


def _operation(path: str, method: str, operation: _Document, schema: _Document) -> str:
    description = _text(operation.get("description", ""))
    first, _, rest = description.partition("\n")
    body = operation.get("requestBody")
    sections = [
        f"<p>{rest}</p>" if rest.strip() else "",
        f"<pre>{escape(_curl(path + _query(operation), method, body))}</pre>",
        _table([_parameter(one) for one in operation.get("parameters", ())]),
        _shape("Body", body, schema) if body else "",
        *(_answer(status, answer, schema) for status, answer in operation["responses"].items()),
    ]
    summary = f'<span class="method">{method}</span> <code>{escape(path)}</code> {first}'
    return f"<details><summary>{summary}</summary>{''.join(sections)}</details>"


def _curl(path: str, method: str, body: _Document | None) -> str:
    verb = "" if method == "GET" else f" -X {method}"
    data = " --json '{...}'" if body else ""
    return f'curl -H "Authorization: Bearer $TOKEN"{verb}{data} "$CACHE{path}"'


def _query(operation: _Document) -> str:
    """Name the parameters without which there is no answer."""
    parameters = operation.get("parameters", ())
    names = [one["name"] for one in parameters if one["in"] == "query" and one.get("required")]
    return "".join(f"{'&' if number else '?'}{name}={{{name}}}" for number, name in enumerate(names))


def _parameter(parameter: _Document) -> tuple[str, str]:
    name, required = escape(parameter["name"]), " (required)" if parameter.get("required") else ""
    shape = escape(_type(parameter["schema"]))
    return (
        f"<code>{name}</code> {parameter['in']}{required}",
        f"{shape} {_text(parameter.get('description', ''))}",
    )


def _answer(status: str, answer: _Document, schema: _Document) -> str:
    if not status.startswith("2"):
        return f"<p><code>{status}</code> {_text(answer['description'])}</p>"
    return _shape("Answer", answer, schema)


def _shape(title: str, body: _Document, schema: _Document) -> str:
    """Tell the members of what is sent or answered, those of its one named kind."""
    contents: list[_Document] = list(body.get("content", {}).values())
    shape: _Document = contents[0]["schema"] if contents else {}
    named = _named(shape.get("items", shape), schema)
    rows = [
        (f"<code>{escape(name)}</code>", escape(_type(member)))
        for name, member in named.get("properties", {}).items()
    ]
    note = f"<p>{_text(named.get('description', ''))}</p>"
    return f"<h4>{title}: {escape(_type(shape))}</h4>{_table(rows)}{note}"


def _named(shape: _Document, schema: _Document) -> _Document:
    reference = shape.get("$ref", "")
    found: _Document = schema["components"]["schemas"].get(reference.rpartition("/")[2], shape)
    return found


def _type(shape: _Document) -> str:
    """Name a type in few words."""
    if "$ref" in shape:
        return str(shape["$ref"]).rpartition("/")[2]
    if "oneOf" in shape:
        return " or ".join(_type(one) for one in shape["oneOf"])
    if "enum" in shape:
        return " | ".join(map(str, shape["enum"]))
    if shape.get("type") == "array":
        return f"list of {_type(shape['items'])}"
    return str(shape.get("format") or shape.get("type") or "anything")


def _text(text: str) -> str:
    """Write prose of the handlers, where names stand between backticks."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _table(rows: list[tuple[str, str]]) -> str:
    lines = "".join(f"<tr><td>{name}<td>{meaning}" for name, meaning in rows)
    return f"<table>{lines}</table>"
