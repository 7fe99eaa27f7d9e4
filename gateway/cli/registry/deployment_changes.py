"""What `deployments set` says that it has changed: a setting before and after; of a secret only whether it is set."""

from collections.abc import Mapping

from gateway.cli.output import print_json, say
from gateway.cli.registry.deployment_settings import as_option
from gateway.config.settings import DeploymentTimeouts

_SECONDS = {*DeploymentTimeouts.model_fields, "ping"}


def say_changed(deployment_id: str, changed: Mapping[str, tuple[object, object]], as_json: bool) -> None:
    """Print what was changed. In JSON, null is the default."""
    if as_json:
        print_json({"id": deployment_id, "done": "changed", "changed": dict(map(_in_json, changed, changed.values()))})
        return
    if not changed:
        say(f"Deployment {deployment_id} is like that already; nothing was changed.")
        return
    say(f"Deployment {deployment_id} is changed.")
    for name, (before, after) in changed.items():
        say(f"  {as_option(name)}: {_in_words(name, before)} -> {_in_words(name, after, before)}")


def _in_json(name: str, values: tuple[object, object]) -> tuple[str, dict[str, object]]:
    if name == "upstream_key":
        name, values = "has_upstream_key", (values[0] is not None, values[1] is not None)
    return name, {"before": values[0], "after": values[1]}


def _in_words(name: str, value: object, before: object = None) -> str:
    if name == "upstream_key":
        return "none" if value is None else "set" if before is None else "set to another"
    if value is None:
        return "default"
    return f"{value:g} s" if name in _SECONDS else str(value)
