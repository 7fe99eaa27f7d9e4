"""What the commands on a registry share: options that say when something ends, and requests made of options."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, TypeVar

import click
from pydantic import BaseModel, ValidationError

from gateway.cli.arguments import MomentArgument, Span
from gateway.config.validation_messages import sentences
from gateway.registry.base import ChangeError
from gateway.team.operation_error import NotFound

M = TypeVar("M", bound=BaseModel)
F = TypeVar("F", bound=Callable[..., Any])

# Fields that hold several, and are given by an option for each.
_SINGULAR = {"deployments": "deployment", "networks": "network", "scopes": "scope", "accounts": "account"}


def request_of(model: type[M], values: Mapping[str, object], words: Mapping[str, str] = MappingProxyType({})) -> M:
    """The request with these values. Raises ChangeError, a line for each mistake, named as on the command line.

    `words` are what to call fields of it that are named by a word in place of their option.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ChangeError("\n".join(_mistakes(error, model, words))) from None


def as_option(name: str) -> str:
    """A setting's name as options are written."""
    return _SINGULAR.get(name, name).replace("_", "-")


def ends(what: str, default: str = "never by default") -> Callable[[F], F]:
    """Give a command `--expires-at` and `--expires-in`, of which `end_of` makes one point in time."""

    def decorate(command: F) -> F:
        text = f"When {what} ends, like 2027-01-01T00:00:00Z; {default}."
        command = click.option("--expires-in", type=Span(), help=f"How long {what} works from now, like 12h or 90d.")(
            command
        )
        return click.option("--expires-at", type=MomentArgument(), help=text)(command)

    return decorate


def end_of(expires_at: datetime | None, expires_in: timedelta | None) -> datetime | None:
    """The one of both that is given, as a point in time; None for never."""
    if expires_at is not None and expires_in is not None:
        raise click.UsageError("Give either --expires-at or --expires-in, not both.")
    return expires_at if expires_in is None else datetime.now(UTC) + expires_in


@contextmanager
def pointing_to(listing: str) -> Iterator[None]:
    """Say of an id that is not there which command lists the ids."""
    try:
        yield
    except NotFound as error:
        raise ChangeError(f"{error.message.rstrip('.')}; `gguf-gateway {listing}` shows the ids.") from error


def _mistakes(error: ValidationError, model: type[BaseModel], words: Mapping[str, str]) -> Iterator[str]:
    for path, text in sentences(error, model):
        field = str(path[0])
        if field in words:
            yield f"Invalid {words[field]}: {text}."
        else:
            yield f"--{as_option(str(path[-1]) if isinstance(path[-1], str) else field)}: {text}"
