"""Faults, answers and scenarios as people write them: one grammar for header, command line, YAML and JSON.

`KIND key=value key="two words" when.contains=x`, or the same as a mapping, the kind under its own name.
Imports pydantic, and is itself imported only when there is something to read: a mock without a script starts faster.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
Written = str | Mapping[str, Any]


class BadRule(ValueError):
    """A fault, answer or scenario that cannot be understood; its message is one sentence.

    `place` leads to the field that is wrong: the names and numbers of those around it, and its own.
    """

    def __init__(self, message: str, place: Sequence[int | str] = ()) -> None:
        super().__init__(message)
        self.place = place


def read(kind: type[T], written: Written, first: str, **further: Any) -> T:
    """A rule from its text or its mapping; `first` names the field of the text's first word. Raises BadRule."""
    mapping = _words(written, first) if isinstance(written, str) else dict(written)
    return check(kind, mapping | further)


def check(kind: type[T], value: Any) -> T:
    """Any value as `kind`. Raises BadRule naming the field that is wrong."""
    try:
        return cast(T, _adapter(cast(Any, kind)).validate_python(value))
    except ValidationError as error:
        # Not `from error`, whose own words say less, on six lines.
        raise BadRule(_sentence(error, kind), error.errors()[0]["loc"]) from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _words(text: str, first: str) -> dict[str, Any]:
    """The mapping that a line stands for; `when.contains=x` is an entry of the mapping `when`."""
    try:
        kind, *pairs = shlex.split(text) or [""]
    except ValueError as error:
        raise BadRule(f"{text!r} cannot be read: {error}.") from error
    found: dict[str, Any] = {first: kind}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise BadRule(f"{pair!r} in {text!r} is not key=value.")
        *outer, inner = name.split(".")
        target = found
        for part in outer:
            target = target.setdefault(part, {})
        target[inner] = value
    return found


def _sentence(error: ValidationError, kind: Any) -> str:
    """The first complaint, in words: `after_events: Input should be ...; got 'x'.`"""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"Unknown field '{where}'; there are {', '.join(_known(kind, first['loc'][:-1]))}."
    if first["type"] in ("missing", "missing_argument"):
        return f"'{where}' is missing."
    if first["type"] == "value_error":
        return f"{where}: {first['ctx']['error']}." if where else f"{first['ctx']['error']}."
    return f"'{where}': {first['msg']}; got {first['input']!r}."


def _known(kind: Any, place: tuple[int | str, ...]) -> list[str]:
    """The fields that a rule has at a place within it: at `("when",)` those of the class that `when` is."""
    hints = get_type_hints(kind)
    for part in place:
        if isinstance(part, str):
            inner = hints[part]
            hints = get_type_hints(next((one for one in get_args(inner) if is_dataclass(one)), inner))
    return [name for name, hint in hints.items() if get_origin(hint) is not ClassVar]


def shown(rule: Any) -> Any:
    """A rule as JSON, without what was left at its default."""
    if isinstance(rule, list | tuple):
        return [shown(part) for part in rule]
    if not is_dataclass(rule):
        return rule
    values = ((one, getattr(rule, one.name)) for one in fields(rule))
    return {one.name: shown(value) for one, value in values if value != _default(one)}


def _default(one: Field[Any]) -> Any:
    return one.default_factory() if one.default_factory is not MISSING else one.default
