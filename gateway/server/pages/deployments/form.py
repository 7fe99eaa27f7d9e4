"""A deployment's settings as the fields of a form, both ways. What is not valid is left to the models to say."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from multidict import MultiDictProxy
from pydantic import BaseModel, ValidationError

from gateway.config.validation_messages import sentences
from gateway.core.deployment import Status
from gateway.core.endpoints import DEFAULT_GROUPS
from gateway.team.models.deployments import Deployment, DeploymentChange, NewDeployment
from gateway.team.operation_error import FieldError, Invalid

_TEXTS = ("account", "upstream", "ca_file")
_COUNTS = {"connections": "limits", "waiting": "limits"}
_SECONDS = {"connect": "timeouts", "first_byte": "timeouts", "silence": "timeouts", "queue": "timeouts"}
_Model = TypeVar("_Model", bound=BaseModel)
Fields = dict[str, Any]


def blank(account: str = "") -> Fields:
    """The fields of a new deployment."""
    names = ("id", *_TEXTS, *_COUNTS, *_SECONDS, "ping")
    return {
        **dict.fromkeys(names, ""),
        "account": account,
        "status": Status.AUTO.value,
        "endpoints": tuple(map(str, DEFAULT_GROUPS)),
    }


def fields_of(one: Deployment) -> Fields:
    """The fields of a deployment as it is."""
    nested = {**one.limits.model_dump(), **one.timeouts.model_dump(), "ping": one.ping}
    texts = {"id": one.id, "account": one.account, "upstream": one.upstream or "", "ca_file": one.ca_file or ""}
    texts["status"] = one.status.value
    numbers = {name: "" if value is None else f"{value:g}" for name, value in nested.items()}
    return {**texts, **numbers, "endpoints": tuple(map(str, one.endpoints))}


def given(form: MultiDictProxy[Any]) -> Fields:
    """The fields as somebody has filled them in. A secret is not among them: it is never shown again."""
    plain = {name: str(form.get(name, "")).strip() for name in blank()}
    return {**plain, "endpoints": tuple(map(str, form.getall("endpoints", ())))}


def new_deployment(form: MultiDictProxy[Any]) -> NewDeployment:
    """The deployment that the form asks for. Raises Invalid."""
    fields = given(form)
    values = {name: value for name, value in _values(fields).items() if value is not None}
    key = str(form.get("upstream_key", "")).strip()
    secret = {"upstream_key": key} if key else {}
    return _validated(NewDeployment, {"id": fields["id"], **values, **secret})


def change_of(form: MultiDictProxy[Any]) -> DeploymentChange:
    """What the form makes of a deployment: all of its fields. Its llama-server's key stays unless one is given."""
    key = str(form.get("upstream_key", "")).strip()
    values = _values(given(form))
    if key or form.get("without_key") == "yes":
        values["upstream_key"] = key or None
    return _validated(DeploymentChange, values)


def as_text(stored: Fields) -> str:
    """The fields that a form begins with, to come back with it."""
    return json.dumps(stored)


def differences(form: MultiDictProxy[Any], stored: Fields) -> Mapping[str, str]:
    """By field, what is stored now where it is neither what the form began with nor what was typed."""
    try:
        began = json.loads(str(form.get("began", "")))
    except ValueError:
        began = {}
    known, typed = began if isinstance(began, dict) else {}, given(form)
    return {
        name: _shown(value)
        for name, value in stored.items()
        if name != "id" and _shown(value) not in {_shown(known.get(name)), _shown(typed[name])}
    }


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "the default")


def _values(fields: Fields) -> dict[str, Any]:
    values: dict[str, Any] = {name: fields[name] or None for name in _TEXTS}
    for names, number in ((_COUNTS, _whole), (_SECONDS, _seconds)):
        for name, section in names.items():
            values.setdefault(section, {})[name] = number(fields[name])
    if fields["status"]:
        values["status"] = fields["status"]
    return {**values, "ping": _seconds(fields["ping"]), "endpoints": fields["endpoints"] or None}


def _whole(text: str) -> int | str | None:
    return (int(text) if text.isdecimal() and len(text) < 10 else text) if text else None


def _seconds(text: str) -> float | str | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text


def _validated(model: type[_Model], values: dict[str, Any]) -> _Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = [FieldError(".".join(map(str, path)), text) for path, text in sentences(error, model)]
        raise Invalid("The deployment cannot be like this.", found) from None
