"""What the schema says of each setting, in the few terms that reading and documenting it need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct, inspect

from entrepot.config import forms
from entrepot.config.schema import Settings
from entrepot.config.secret import Secret
from entrepot.config.units import Amount, Bytes, Percent, Seconds

__all__ = [
    "SETTINGS",
    "Form",
    "Kind",
    "describe",
    "expected",
    "fields_of",
    "kind_of",
    "meaning_of",
    "member_of",
]

Form = Callable[[Any, Path], Any]


class Kind(Struct, frozen=True):
    """A type without its wrapping; ``form`` checks a value further, see ``config.forms``."""

    type: inspect.Type
    optional: bool
    meaning: str
    form: Form | None

    @property
    def is_secret(self) -> bool:
        return isinstance(self.type, inspect.CustomType) and self.type.cls is Secret


def kind_of(type_: inspect.Type) -> Kind:
    """Unwrap what ``Annotated[...]`` and ``... | None`` put around a type."""
    optional, meaning, form = False, "", None
    while True:
        match type_:
            case inspect.Metadata():
                meaning = meaning or (type_.extra_json_schema or {}).get("description", "")
                form = form or (type_.extra or {}).get("form")
                type_ = type_.type
            case inspect.UnionType():
                optional = True
                type_ = next(member for member in type_.types if not isinstance(member, inspect.NoneType))
            case _:
                return Kind(type_, optional, meaning, form)


def fields_of(kind: Kind) -> dict[str, inspect.Field]:
    """Return the fields of a section, by name; none of anything else."""
    return (
        {field.name: field for field in kind.type.fields} if isinstance(kind.type, inspect.StructType) else {}
    )


def member_of(kind: Kind) -> Kind | None:
    """Return the kind of what a list or a mapping holds; nothing for all else."""
    match kind.type:
        case inspect.DictType(value_type=member) | inspect.VarTupleType(item_type=member):
            return kind_of(member)
        case _:
            return None


def meaning_of(*path: str) -> str:
    """Return what the schema says of the setting at ``path``."""
    kind = SETTINGS
    for name in path:
        kind = kind_of(fields_of(kind)[name].type)
    return kind.meaning


def describe(kind: Kind) -> str:
    """Name the type in the words of the reference."""
    match kind.type:
        case inspect.VarTupleType(item_type=item):
            return f"list of {describe(kind_of(item))}s"
        case inspect.LiteralType(values=values):
            return " or ".join(str(value) for value in values)
        case inspect.CustomType(cls=cls):
            return _CUSTOM_WORDS[cls]
        case type_:
            return _WORDS.get(type(type_)) or _FORMS.get(kind.form, "text")


def expected(kind: Kind) -> str:
    """Say what a value of this kind looks like, for a complaint."""
    match kind.type:
        case inspect.StructType() | inspect.DictType():
            return "expected a mapping, key: value"
        case inspect.VarTupleType():
            return "expected a list"
        case inspect.IntType(ge=least):
            return f"expected a whole number, at least {least or 0}"
        case inspect.CustomType(cls=cls):
            return f"expected {_CUSTOM_FORMS.get(cls, 'text')}"
        case inspect.BoolType() | inspect.LiteralType():
            return f"expected {describe(kind)}"
        case _:
            return "expected text"


_CUSTOM_WORDS: dict[type, str] = {
    Seconds: "duration",
    Bytes: "size",
    Percent: "percentage",
    Amount: "size or percentage",
    Secret: "secret",
}
_CUSTOM_FORMS: dict[type, str] = {
    Seconds: "a duration like 30s",
    Bytes: "a size like 200GiB",
    Percent: "a percentage like 80%",
    Amount: "a size like 200GiB or a percentage like 80%",
}
_WORDS: dict[type[inspect.Type], str] = {
    inspect.StructType: "section",
    inspect.DictType: "section",
    inspect.BoolType: "true or false",
    inspect.IntType: "number",
}

_FORMS: dict[Form | None, str] = {
    forms.check_endpoint: "URL",
    forms.check_host: "host",
    forms.check_pattern: "pattern",
    forms.check_pin: "pattern",
    forms.check_program: "program",
    forms.check_proxy: "URL",
    forms.resolve_file: "file",
    forms.resolve_folder: "folder",
}
SETTINGS = kind_of(inspect.type_info(Settings))
