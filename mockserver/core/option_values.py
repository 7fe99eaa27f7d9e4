"""Whether what was given for an option can be a value of it: its kind, and how small or large it may be."""

from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from math import inf
from numbers import Integral, Real
from os import PathLike
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Protocol, get_args, get_origin


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


_BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("port", "control_port"), (0, 65535)),
    **dict.fromkeys(("load_seconds", "down_seconds", "up_seconds", "wake_seconds"), (0, inf)),
    **dict.fromkeys(("ttft", "tokens_per_second", "prompt_tokens_per_second"), (0, inf)),
    **dict.fromkeys(("journal_body_bytes", "journal_bytes"), (0, inf)),
    **dict.fromkeys(("slots", "context", "batch", "ubatch", "load_factor", "journal_entries"), (1, inf)),
    "jitter": (0, 1),
}


def check_values(options: _Dataclass) -> None:
    """Raise ValueError, which names the option and what it takes. Texts are not quoted: they may be keys."""
    for field in fields(options):
        value = getattr(options, field.name)
        if get_origin(field.type) is Literal and value not in (choices := get_args(field.type)):
            raise ValueError(f"'{field.name}' is one of {', '.join(choices)}; got {value!r}")
        kinds = get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
        known = [_KINDS[get_origin(kind) or kind] for kind in kinds if (get_origin(kind) or kind) in _KINDS]
        if known and not any(fits(value) for _, fits in known):
            raise ValueError(f"'{field.name}' is {known[0][0]}; got {_in_words(value)}")
        least, most = _BOUNDS.get(field.name, (-inf, inf))
        if isinstance(value, int | float) and not least <= value <= most:
            up_to = f" to {most:g}" if most < inf else " or more"
            raise ValueError(f"'{field.name}' is {least:g}{up_to}; got {value}")


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes) and all(map(_is_text, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, _TEXT)


def _in_words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"a list with {_in_words(next((item for item in value if not isinstance(item, _TEXT)), ''))}"
    if value is None or isinstance(value, Real):
        return repr(value)
    return "a text" if isinstance(value, _TEXT) else f"a {type(value).__name__}"


_TEXT = (str, PathLike)
_KINDS: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    bool: ("True or False", lambda value: isinstance(value, bool)),
    int: ("a whole number", lambda value: isinstance(value, Integral)),
    float: ("a number", lambda value: isinstance(value, Real)),
    str: ("a text", lambda value: isinstance(value, _TEXT)),
    Sequence: ("a list of texts", _is_list_of_texts),
    NoneType: ("None", lambda value: value is None),
}
