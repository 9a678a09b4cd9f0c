"""Says of a value in a request that it is wrong, what was expected there, and what was found."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct, inspect

from entrepot.http.api.forms import WORDS

__all__ = ["Fault", "bare", "expected", "fault_in", "found"]

_LONGEST_SHOWN = 60
_PLACE = re.compile(r" - at `\$\.?(.*)`$")
_MEMBER = re.compile(r"^Object (missing required|contains unknown) field `(.*?)`")
_STEP = re.compile(r"[^.\[\]]+")


class Fault(Struct, frozen=True):
    """One thing that is wrong with a request: ``key`` names the parameter or member."""

    message: str
    key: str | None = None


def fault_in(value: Any, annotation: Any, key: str | None = None) -> Fault | None:
    """Find what is wrong with a value, or with the first of its members; nothing where it is right."""
    try:
        msgspec.convert(value, annotation, strict=False, str_keys=True)
    except msgspec.ValidationError as error:
        return _explain(str(error), value, inspect.type_info(annotation), key)
    return None


def expected(shape: inspect.Type) -> str:
    """Say what a value of this shape looks like."""
    words = _words_for(shape) or "text"
    match bare(shape):
        case inspect.StructType(fields=fields):
            words = _members(fields)
        case inspect.ListType(min_length=least):
            words = f"a list of at least {least}" if least else "a list"
        case inspect.IntType(ge=least, le=most):
            words = f"a whole number{_between(least, most)}"
        case inspect.BoolType():
            words = "true or false"
        case inspect.LiteralType(values=values):
            words = f"one of {_choices([str(value) for value in values])}"
        case inspect.EnumType(cls=kind):
            words = f"one of {', '.join(str(member.value) for member in kind)}"
        case inspect.DateTimeType():
            words = "a time, as 2026-01-31T12:00:00Z"
        case inspect.StrType(pattern=str(pattern)):
            words = WORDS[pattern]
        case _:
            pass
    return f"expected {words}"


def bare(shape: inspect.Type) -> inspect.Type:
    """Take away what ``Annotated[...]`` and ``... | None`` put around a type."""
    match shape:
        case inspect.Metadata(type=inner):
            return bare(inner)
        case inspect.UnionType(types=types):
            return bare(next(one for one in types if not isinstance(one, inspect.NoneType)))
        case _:
            return shape


def found(value: Any) -> str:
    match value:
        case None:
            return "found null"
        case dict():
            return "found an object"
        case list():
            return f"found a list of {len(value)}"
        case str() if len(value) > _LONGEST_SHOWN:
            beginning = msgspec.json.encode(value[:_LONGEST_SHOWN]).decode()
            return f'found {beginning[:-1]}...", {len(value)} characters'
        case _:
            return f"found {msgspec.json.encode(value).decode()}"


def _explain(complaint: str, value: Any, shape: inspect.Type, key: str | None) -> Fault:
    """Go to where the complaint points, and say what it is about in words for people."""
    place = _PLACE.search(complaint)
    path = place[1] if place else ""
    for step in _STEP.findall(path):
        value, shape = _enter(value, bare(shape), step)
    where = ".".join(filter(None, (key, path))) or None
    if member := _MEMBER.match(complaint):
        name = ".".join(filter(None, (where, member[2])))
        fields = {field.encode_name: field.type for field in getattr(bare(shape), "fields", ())}
        if member[1] == "missing required":
            return Fault(f"missing: {expected(fields[member[2]])}", name)
        return Fault(f"unknown: expected one of {', '.join(fields)}", name)
    most = getattr(bare(shape), "max_length", None)
    is_too_long = isinstance(value, str | list) and most is not None and len(value) > most
    bound = f", {most} {'characters' if isinstance(value, str) else 'of them'} at most" if is_too_long else ""
    return Fault(f"{expected(shape)}{bound}, {found(value)}", where)


def _enter(value: Any, shape: inspect.Type, step: str) -> tuple[Any, inspect.Type]:
    if isinstance(shape, inspect.ListType):
        return value[int(step)], shape.item_type
    fields = {field.encode_name: field.type for field in getattr(shape, "fields", ())}
    return value[step], fields[step]


def _words_for(shape: inspect.Type) -> str | None:
    """Return the words that a type is annotated with."""
    match shape:
        case inspect.Metadata(extra={"words": str(words)}):
            return words
        case inspect.UnionType(types=types):
            return next(filter(None, map(_words_for, types)), None)
        case _:
            return None


def _members(fields: tuple[inspect.Field, ...]) -> str:
    needed = [field.encode_name for field in fields if field.required]
    others = [field.encode_name for field in fields if not field.required]
    return f"an object with {' and '.join(needed)}" + (
        f", and if wanted {', '.join(others)}" if others else ""
    )


def _between(least: int | None, most: int | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    return "" if least is None else f", at least {least}"


def _choices(values: list[str]) -> str:
    """List each field to sort by once, though it may have ``-`` before it."""
    rising = [value for value in values if not value.startswith("-")]
    if len(values) == len(rising):
        return ", ".join(values)
    return f"{', '.join(rising)}, or one with - before it, for the greatest first"
