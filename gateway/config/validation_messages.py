"""A model's errors in sentences for the person who wrote the file. Pure: no I/O.

No sentence quotes the value: a misplaced value may be a key.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.document import Document, Path

_SENTENCES = {
    "missing": "is required",
    "string_type": "must be text; put it in quotes",
    "string_too_short": "must not be empty",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of ordinary size",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "tuple_type": "must be a list, with lines like `- ...`",
    "dict_type": "must be a mapping, with lines like `name: ...`",
    "model_type": "must be a mapping, with lines like `name: ...`",
    "dataclass_type": "must be a mapping, with lines like `name: ...`",
}


def suggested(name: str, known: Iterable[str], least: float = 0.6) -> str:
    """`; did you mean X?` for the one of these names that is nearest; nothing if none is near.

    `least` is from where on a name is near: 0 for any, 1 for the same (difflib's ratio).
    """
    written = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), written, n=1, cutoff=least)
    return f"; did you mean `{written[near[0]]}`?" if near else ""


def add_field_errors(document: Document, error: ValidationError, model: type) -> None:
    """Note every error of a failed validation in the document, at its field's line."""
    for path, sentence in sentences(error, model):
        document.add_error(path, sentence)


def sentences(error: ValidationError, model: type) -> Iterator[tuple[Path, str]]:
    """Every error of a failed validation: the field's path, and what is wrong with it."""
    for detail in error.errors(include_url=False, include_input=True):
        path = tuple(part for part in detail["loc"] if part != "[key]")
        yield path, _sentence(detail, path, model)


def _sentence(detail: ErrorDetails, path: Path, model: type) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        return _unknown(path, model)
    if kind == "value_error":
        return str(context["error"])
    if kind != "missing" and detail["input"] is None:
        return "is empty; give it a value or leave the line out"
    return _SENTENCES.get(kind, "is not valid").format_map(context)


def _unknown(path: Path, model: type) -> str:
    name, known = str(path[-1]), list(_settings_of(_model_at(path[:-1], model)))
    if ":" in name:
        return "unknown setting; is a space missing after a colon?"
    return "unknown setting" + (suggested(name, known) or f"; valid settings: {', '.join(known)}")


def _model_at(path: Path, model: type) -> type:
    """The model whose fields are at `path`: through the fields of models and the values of mappings and lists."""
    for part in path:
        settings = _settings_of(model)
        if part in settings:
            model = _innermost(settings[str(part)]) or model
    return model


def _settings_of(model: type) -> Mapping[str, object]:
    """What a model's settings are annotated with, or a section's."""
    if issubclass(model, BaseModel):
        return {name: field.annotation for name, field in model.model_fields.items()}
    return {field.name: field.type for field in fields(model)} if is_dataclass(model) else {}


def _innermost(annotation: object) -> type | None:
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return annotation
    found = (_innermost(argument) for argument in get_args(annotation))
    return next((model for model in found if model is not None), None)
