"""How a section of the configuration file is written down: a frozen dataclass, and marks on the types of its settings.

pydantic judges a file by them, and makes the JSON Schema of them, by its protocol for types that are not its own
(`__get_pydantic_core_schema__`). But nothing here imports it: who serves has settings, and judges none (decision 0034).
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

_T = TypeVar("_T")
_JsonSchema = Mapping[str, object]


def setting(
    *,
    description: str,
    default: Any = MISSING,
    default_factory: Any = MISSING,
    repr: bool = True,
    schema: _JsonSchema = MappingProxyType({}),
) -> Any:
    """A setting, with the words for its reader. Without `repr` no error shows it. `schema` is for its JSON Schema."""
    words = {"description": description, "json_schema_extra": dict(schema)}
    if default_factory is MISSING:
        return field(default=default, repr=repr, metadata=words)
    return field(default_factory=default_factory, repr=repr, metadata=words)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(setting,))
def section(cls: type[_T]) -> type[_T]:
    """Make a class a section: frozen, with settings that are given by name; unknown ones are refused."""
    made: Any = dataclass(frozen=True, kw_only=True, slots=True)(cls)
    made.__pydantic_config__ = {"extra": "forbid", "hide_input_in_errors": True}
    return made  # type: ignore[no-any-return]  # dataclass() says the same


class _Mark:
    """`schema` is what a type's JSON Schema has beside, or in place of, what that of the plain type has."""

    def __init__(self, schema: _JsonSchema = MappingProxyType({})) -> None:
        self._schema = schema

    def __get_pydantic_json_schema__(self, core: "CoreSchema", handler: "GetJsonSchemaHandler") -> "JsonSchemaValue":
        return {**handler(core), **self._schema}


class Checked(_Mark):
    """A value that a function gives back as it is to be. It raises ValueError with what is wrong, never quoting it."""

    def __init__(self, check: Callable[[Any], object], schema: _JsonSchema = MappingProxyType({})) -> None:
        super().__init__(schema)
        self._check = check

    def __get_pydantic_core_schema__(self, source: object, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from pydantic_core.core_schema import no_info_after_validator_function

        return no_info_after_validator_function(self._check, handler(source))


class CheckedInContext(_Mark):
    """The same, by a function that also sees the fields before this one, and the context of the validation."""

    def __init__(self, check: "Callable[[Any, ValidationInfo], object]") -> None:
        super().__init__()
        self._check = check

    def __get_pydantic_core_schema__(self, source: object, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from pydantic_core.core_schema import with_info_after_validator_function

        return with_info_after_validator_function(self._check, handler(source))


class AsWritten(_Mark):
    """A value as the file has it, which a function makes one of the type. It raises ValueError like `Checked`'s."""

    def __init__(self, read: Callable[[object], object]) -> None:
        super().__init__()
        self._read = read

    def __get_pydantic_core_schema__(self, source: object, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from pydantic_core.core_schema import no_info_before_validator_function

        return no_info_before_validator_function(self._read, handler(source))


class Bounds(_Mark):
    """Bounds of a number (`gt`, `ge`, `le`) or of a text's length (`min_length`, `max_length`), as pydantic has them.

    YAML's `yes` is no number, and infinity is none either.
    """

    def __init__(self, **bounds: float) -> None:
        super().__init__()
        self._bounds = bounds

    def __get_pydantic_core_schema__(self, source: object, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from pydantic_core.core_schema import no_info_before_validator_function

        bounded: Any = {**handler(source), **self._bounds}
        if bounded["type"] == "str":
            return bounded  # type: ignore[no-any-return]  # a CoreSchema is a mapping, of one kind or another
        if bounded["type"] == "float":
            bounded["allow_inf_nan"] = False
        return no_info_before_validator_function(_no_bool, bounded)


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


NO_BOOL = AsWritten(_no_bool)  # YAML's `yes` and `on` would pass for the number 1
