"""The JSON schema of the configuration file, for editors that complete and check while one types."""

from __future__ import annotations

from typing import Any

from msgspec import NODEFAULT, inspect

from entrepot.config.kinds import SETTINGS, Kind, fields_of, kind_of
from entrepot.config.secret import Secret
from entrepot.config.show import plain
from entrepot.config.units import Amount, Bytes, Percent, Seconds

__all__ = ["json_schema"]

_JSON_TYPES: dict[type, str] = {Percent: "string"}
_EXAMPLES: dict[type, list[str]] = {
    Seconds: ["500ms", "30s", "30d"],
    Bytes: ["64KiB", "200GiB"],
    Percent: ["90%"],
    Amount: ["200GiB", "80%"],
}


def json_schema() -> dict[str, Any]:
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Configuration of Entrepot"}
    return head | _schema(SETTINGS)


def _schema(kind: Kind) -> dict[str, Any]:
    schema = _shape(kind)
    if kind.optional or fields_of(kind):
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        schema["type"] = [*types, "null"]
    return schema | ({"description": kind.meaning} if kind.meaning else {})


def _shape(kind: Kind) -> dict[str, Any]:
    match kind.type:
        case inspect.StructType():
            return _section(kind)
        case inspect.DictType(value_type=member):
            return {"type": "object", "additionalProperties": _schema(kind_of(member))}
        case inspect.VarTupleType(item_type=item):
            return {"type": "array", "items": _schema(kind_of(item))}
        case inspect.LiteralType(values=values):
            return {"type": "string", "enum": list(values)}
        case type_:
            return _scalar(type_)


def _section(kind: Kind) -> dict[str, Any]:
    properties = {}
    for name, field in fields_of(kind).items():
        properties[name] = _schema(kind_of(field.type))
        if field.default is not NODEFAULT:
            properties[name]["default"] = plain(field.default)
    required = [name for name, field in fields_of(kind).items() if field.required]
    rules = {"required": required} if required else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **rules}


def _scalar(type_: inspect.Type) -> dict[str, Any]:
    match type_:
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.IntType(ge=least):
            return {"type": "integer", "minimum": least or 0}
        case inspect.CustomType(cls=cls) if cls is Secret:
            return {"type": "string", "writeOnly": True}
        case inspect.CustomType(cls=cls):
            return {"type": _JSON_TYPES.get(cls, ["string", "number"]), "examples": _EXAMPLES[cls]}
        case _:
            return {"type": "string"}
