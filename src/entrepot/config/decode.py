"""Turns what was written into settings, as the schema says, and collects every complaint on the way."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NoReturn

from msgspec import inspect

from entrepot.config.forms import hide_userinfo
from entrepot.config.kinds import SETTINGS, Kind, expected, fields_of, kind_of
from entrepot.config.schema import Settings
from entrepot.config.secret import HIDDEN, Secret
from entrepot.config.tree import Node, Problem
from entrepot.config.units import Amount, Bytes, Percent, Seconds
from entrepot.policy.spelling import did_you_mean

__all__ = ["decode_settings"]

_LONGEST_SHOWN = 60
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class _Wrong(Exception):
    """The value cannot be had; the complaint is already noted."""


def decode_settings(root: Node, problems: list[Problem]) -> Settings:
    """Return the settings; what is wrong becomes a problem, and has its default in them."""
    with suppress(_Wrong):
        settings: Settings = _Decoder(problems).decode(root, SETTINGS, "")
        return settings
    return Settings()


class _Decoder:
    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems

    def decode(self, node: Node, kind: Kind, key: str) -> Any:
        """Raise ``_Wrong`` where there is no value; members that are wrong are left out of theirs."""
        if node.value is None and kind.optional:
            return None
        match kind.type:
            case inspect.StructType(cls=cls):
                return cls(**self._fields(node, kind, key))
            case inspect.DictType(key_type=name, value_type=member):
                return self._entries(self._mapping(node, kind, key), key, kind_of(name), kind_of(member))
            case inspect.VarTupleType(item_type=member):
                return self._items(node, kind, key, kind_of(member))
            case _:
                return self._scalar(node, kind, key)

    def _fields(self, node: Node, kind: Kind, key: str) -> dict[str, Any]:
        children, known = self._mapping(node, kind, key), fields_of(kind)
        values: dict[str, Any] = {}
        for name, child in children.items():
            full_name = f"{key}.{name}" if key else name
            if name not in known:
                complaint = "no such setting" + did_you_mean(name, known)
                self._problems.append(Problem(child.place, full_name, complaint))
                continue
            with suppress(_Wrong):
                values[name] = self.decode(child, kind_of(known[name].type), full_name)
        missing = [name for name, field in known.items() if field.required and name not in values]
        for name in missing:
            if name not in children:
                self._problems.append(Problem(node.place, key, f"expected the setting {name} as well"))
        if missing:
            raise _Wrong
        return values

    def _entries(
        self, children: dict[str, Node], key: str, name_kind: Kind, member_kind: Kind
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, child in children.items():
            full_name = f"{key}.{name}"
            with suppress(_Wrong):
                self._scalar(Node(name, child.place), name_kind, full_name)
            with suppress(_Wrong):
                values[name] = self.decode(child, member_kind, full_name)
        return values

    def _items(self, node: Node, kind: Kind, key: str, item_kind: Kind) -> tuple[Any, ...]:
        if not isinstance(node.value, tuple | None):
            self._refuse(node, kind, key, expected(kind))
        values = []
        for position, item in enumerate(node.value or ()):
            with suppress(_Wrong):
                values.append(self.decode(item, item_kind, f"{key}[{position}]"))
        return tuple(values)

    def _scalar(self, node: Node, kind: Kind, key: str) -> Any:
        if not isinstance(node.value, str):
            self._refuse(node, kind, key, expected(kind))
        try:
            value = _convert(node.value, kind)
            return kind.form(value, node.place.folder) if kind.form else value
        except ValueError as error:
            self._refuse(node, kind, key, str(error))

    def _mapping(self, node: Node, kind: Kind, key: str) -> dict[str, Node]:
        if not isinstance(node.value, dict | None):
            self._refuse(node, kind, key, expected(kind))
        return node.children()

    def _refuse(self, node: Node, kind: Kind, key: str, complaint: str) -> NoReturn:
        self._problems.append(Problem(node.place, key, f"{complaint}, found {_shown(node, kind)}"))
        raise _Wrong


def _convert(text: str, kind: Kind) -> Any:
    value: bool | int | str | None
    match kind.type:
        case inspect.BoolType():
            value = _BOOLEANS.get(text.lower())
        case inspect.IntType(ge=least):
            digits = text.isascii() and text.isdigit()
            value = int(text) if digits and int(text) >= (least or 0) else None
        case inspect.LiteralType(values=values):
            value = text if text in values else None
        case inspect.CustomType(cls=cls) if issubclass(cls, Seconds | Bytes | Percent | Amount):
            return cls.parse(text)
        case inspect.CustomType():
            return Secret(text)
        case _:
            return text
    if value is None:
        raise ValueError(expected(kind))
    return value


def _shown(node: Node, kind: Kind) -> str:
    match node.value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case tuple():
            return "a list"
        case _ if kind.is_secret:
            return HIDDEN
        case text:
            text = hide_userinfo(text)
            return f'"{text}"' if len(text) <= _LONGEST_SHOWN else f'"{text[:_LONGEST_SHOWN]}..."'
