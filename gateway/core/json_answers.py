"""What the gateway makes of two of llama-server's answers: its properties, and one model of its list. Pure bytes."""

from typing import Any

import orjson

from gateway.core import errors
from gateway.core.errors import Refusal


def without_paths(body: bytes) -> bytes:
    r"""The properties of a llama-server (`/props`), of each path of its disk only the file's name.

    Raises ValueError for what is no JSON object.

    >>> without_paths(b'{"model_path":"/srv/models/tiny.gguf","total_slots":1}')
    b'{"model_path":"tiny.gguf","total_slots":1}'
    """
    return orjson.dumps(_named(_object(body)))


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
            return orjson.dumps(model)
    raise Refusal(errors.NO_MODEL)


_COMMAND_LINE = ("args", "preset")  # tools/server/server-models.cpp


def _object(body: bytes) -> dict[str, Any]:
    value = orjson.loads(body)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def _aliases(model: dict[str, Any]) -> list[object]:
    aliases = model.get("aliases")
    return aliases if isinstance(aliases, list) else []


def _named(value: Any) -> Any:
    """The same, each text under a name that ends in `path` cut down to what follows its last slash."""
    if isinstance(value, list):
        return [_named(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: _file_name(one) if name.endswith("path") else _named(one) for name, one in value.items()}


def _file_name(value: Any) -> Any:
    return value.replace("\\", "/").rpartition("/")[2] if isinstance(value, str) else _named(value)
