"""What the gateway makes of two of llama-server's answers: its properties, and one model of its list. Pure bytes."""

import re
from typing import Any

import orjson

from gateway.core import errors
from gateway.core.errors import Refusal

_DEEPEST = 100  # levels; llama-server has four
_MOST_VALUES = 50_000  # more would take a tenth of a second, in which nobody else is served
_COMMAND_LINE = ("args", "preset")  # tools/server/server-models.cpp
# A whole path, of Unix or of Windows. What is relative to a folder is told by the name it stands under.
_PATH = re.compile(r"(?:/|~/|[A-Za-z]:[\\/]|\\\\)[^\r\n]*").fullmatch


def without_paths(body: bytes) -> bytes:
    """The properties of a llama-server (`/props`), of each path of its disk only the file's name.

    Without an `--alias`, the model's name is the path, too. Raises ValueError for what is no JSON object.

    >>> without_paths(b'{"model_alias":"/srv/tiny.gguf","model_path":"/srv/tiny.gguf","total_slots":1}')
    b'{"model_alias":"tiny.gguf","model_path":"tiny.gguf","total_slots":1}'
    """
    return _dumped(_without_folders(_object(body)))


def one_model(body: bytes, name: str) -> bytes:
    """The model of this name, or alias, in a list of models (`/v1/models`).

    A router's list holds the command lines of its models; they are left out. Raises ValueError for what is no list of
    models, and Refusal (404) if the model is not in it.

    >>> one_model(b'{"data":[{"id":"tiny","object":"model"}]}', "tiny")
    b'{"id":"tiny","object":"model"}'
    """
    models = _object(body).get("data")
    if not isinstance(models, list):
        raise ValueError("no list of models")
    for model in models:
        if isinstance(model, dict) and name in (model.get("id"), *_aliases(model)):
            if isinstance(model.get("status"), dict):
                model["status"] = {key: model["status"][key] for key in model["status"] if key not in _COMMAND_LINE}
            return _dumped(model)
    raise Refusal(errors.NO_MODEL)


def _object(body: bytes) -> dict[str, Any]:
    if body.count(b",") > _MOST_VALUES:
        raise ValueError("too many values")
    value = orjson.loads(body)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError as error:  # orjson writes less deep than it reads
        raise ValueError("nested too deep") from error


def _aliases(model: dict[str, Any]) -> list[object]:
    aliases = model.get("aliases")
    return aliases if isinstance(aliases, list) else []


def _without_folders(value: Any, name: str = "", depth: int = 0) -> Any:
    """The same, each path in it cut down to what follows its last slash. `name` is what the value stands under."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if isinstance(value, list):
        return [_without_folders(one, name, depth + 1) for one in value]
    if isinstance(value, dict):
        return {inner: _without_folders(one, inner, depth + 1) for inner, one in value.items()}
    if isinstance(value, str) and (name.endswith("path") or _PATH(value)):
        return value.replace("\\", "/").rpartition("/")[2]
    return value
