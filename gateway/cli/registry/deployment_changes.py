"""What `deployments set` asks for, and what it says that it has changed."""

from collections.abc import Collection, Iterator, Mapping

from gateway.cli.registry.changes import Changed
from gateway.cli.registry.deployment_settings import WITH_DEFAULT
from gateway.config.settings import DeploymentTimeouts
from gateway.core.endpoints import DEFAULT_GROUPS
from gateway.team.models.common import Request
from gateway.team.models.deployments import Deployment, DeploymentChange, LimitsChange, TimeoutsChange

_SECONDS = {*DeploymentTimeouts.model_fields, "ping"}
_NAMES = ("account", "upstream", *(option.replace("-", "_") for option in WITH_DEFAULT))


def change_of(settings: Mapping[str, object], unset: Collection[str]) -> DeploymentChange:
    """The change to these settings, by the names of options; those in `unset` get their default again.

    They are good ones: `deployment_of` has looked at them. (Not so a `ca_file`, which is on the gateway's machine.)
    """
    named = {**settings, **dict.fromkeys(unset)}
    nested: dict[str, type[Request]] = {"timeouts": TimeoutsChange, "limits": LimitsChange}
    values: dict[str, object] = {}
    for section, model in nested.items():
        inner = {name: named[name] for name in model.model_fields if name in named}
        if inner:
            values[section] = model.model_validate(inner)
    plain = {name: value for name, value in named.items() if name in DeploymentChange.model_fields}
    ca_file = {"ca_file": plain.pop("ca_file")} if plain.get("ca_file") is not None else {}
    return DeploymentChange.model_validate({**values, **plain}).model_copy(update=ca_file)


def changed_of(before: Deployment, after: Deployment, names: Collection[str]) -> Changed:
    """The settings that are different now, of those with these names."""
    old, new = dict(_settings(before)), dict(_settings(after))
    found = {name: (old[name], new[name]) for name in _NAMES if name in old and old[name] != new[name]}
    if "upstream_key" in names and before.version != after.version:
        found["upstream_key"] = (before.has_upstream_key, after.has_upstream_key)
        if found["upstream_key"] == (False, False):
            del found["upstream_key"]
    return {name: found[name] for name in _NAMES if name in found}


def in_json(changed: Changed) -> Changed:
    """As scripts read it."""
    return {"has_upstream_key" if name == "upstream_key" else name: values for name, values in changed.items()}


def in_words(name: str, value: object, before: object) -> str:
    """A setting's value, as people read it."""
    if name == "upstream_key":
        return "none" if not value else "set to another" if before else "set"
    if value is None:
        return "default"
    return f"{value:g} s" if name in _SECONDS else str(value)


def _settings(one: Deployment) -> Iterator[tuple[str, object]]:
    """Each setting but the upstream's key, which nobody sees. None for a default."""
    yield from (("account", one.account), ("upstream", one.upstream), ("status", str(one.status)))
    yield from one.timeouts.model_dump().items()
    yield from one.limits.model_dump().items()
    yield from (("ping", one.ping), ("ca_file", one.ca_file))
    yield "endpoints", None if one.endpoints == DEFAULT_GROUPS else ",".join(one.endpoints)
