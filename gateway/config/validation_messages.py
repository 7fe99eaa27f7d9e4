"""A model's errors in sentences for the person who wrote the file, the request or the form. Pure: no I/O.

No sentence quotes the value: a misplaced value may be a key.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.document import Document, Path

_LONGEST_COMPARED, _MOST_COMPARED = 200, 300
_MOST_SAID = 100  # that is wrong with one request
_SENTENCES = {
    "missing": "is required",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} items",
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
    "tuple_type": "must be a list",
    **dict.fromkeys(("dict_type", "model_type", "dataclass_type"), "must be an object"),
}
# What is said in other words to whoever wrote a YAML file.
_IN_YAML = {
    "string_type": "must be text; put it in quotes",
    "tuple_type": "must be a list, with lines like `- ...`",
    **dict.fromkeys(("dict_type", "model_type", "dataclass_type"), "must be a mapping, with lines like `name: ...`"),
}


def suggested(name: str, known: Iterable[str], least: float = 0.6) -> str:
    """`; did you mean X?` for the one of these names that is nearest; nothing if none is near.

    `least` is from where on a name is near: 0 for any, 1 for the same (difflib's ratio). Nor is there anything for a
    name longer than any, or among very many: each is compared letter by letter.
    """
    written = {one.lower(): one for one in islice(known, _MOST_COMPARED + 1)}
    if len(name) > _LONGEST_COMPARED or len(written) > _MOST_COMPARED:
        return ""
    near = difflib.get_close_matches(name.lower(), written, n=1, cutoff=least)
    return f"; did you mean `{written[near[0]]}`?" if near else ""


def add_field_errors(document: Document, error: ValidationError, model: type) -> None:
    """Note every error of a failed validation in the document, at its field's line."""
    for path, detail in _details(error):
        document.add_error(path, _sentence_in_yaml(detail, path, model))


def sentences(error: ValidationError, model: type) -> Iterator[tuple[Path, str]]:
    """The errors of a failed validation, for who sent a request or a form: the field's path, and what is wrong.

    A hundred at most: to put thousands into words would hold up others.
    """
    for path, detail in islice(_details(error), _MOST_SAID):
        yield path, _sentence(detail, path, model)


def _details(error: ValidationError) -> Iterator[tuple[Path, ErrorDetails]]:
    found = error.errors(include_url=False, include_input=True)
    within = {detail["loc"][:end] for detail in found for end in range(len(detail["loc"]))}
    for detail in found:
        if detail["type"] == "too_short" and detail["loc"] in within:  # its items are wrong, and said to be
            continue
        yield tuple(part for part in detail["loc"] if part != "[key]"), detail


def _sentence(detail: ErrorDetails, path: Path, model: type) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if _is_unknown(detail):
        return _unknown(path, model, "field")
    if kind == "value_error":
        return str(context["error"])
    if kind != "missing" and detail["input"] is None:
        return "must not be null"
    return _SENTENCES.get(kind, "is not valid").format_map(context)


def _sentence_in_yaml(detail: ErrorDetails, path: Path, model: type) -> str:
    kind = detail["type"]
    if _is_unknown(detail):
        return _unknown(path, model, "setting")
    if kind not in {"missing", "value_error"} and detail["input"] is None:
        return "is empty; give it a value or leave the line out"
    return _IN_YAML.get(kind) or _sentence(detail, path, model)


def _is_unknown(detail: ErrorDetails) -> bool:
    return detail["type"] in {"extra_forbidden", "unexpected_keyword_argument"}


def _unknown(path: Path, model: type, thing: str) -> str:
    name, known = str(path[-1]), list(_settings_of(_model_at(path[:-1], model)))
    if ":" in name and thing == "setting":
        return "unknown setting; is a space missing after a colon?"
    return f"unknown {thing}" + (suggested(name, known) or f"; valid {thing}s: {', '.join(known)}")


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
