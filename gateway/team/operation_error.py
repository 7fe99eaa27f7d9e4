"""Why an operation was not done. Each face says it in its own way; nothing was changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.registry.base import ChangeError


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request, named as in JSON: `limits.waiting`."""

    field: str
    message: str


class OperationError(ChangeError):
    """The base of all of these, with a sentence for whoever asked."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


# Says nothing of what is wrong: each field's own message does.
NOT_VALID = "The request is not valid."


class Invalid(OperationError):
    """A request that cannot be: one sentence, and what is wrong with each field."""

    def __init__(self, message: str = NOT_VALID, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class Denied(OperationError):
    """The actor may not do this at all. `scope` is what a token would need."""

    def __init__(self, message: str, scope: str | None = None) -> None:
        super().__init__(message)
        self.scope = scope


class NotFound(OperationError):
    """There is no such thing, or it is beyond the actor's reach: both look the same."""


class Conflict(OperationError):
    """The operation contradicts what there is now."""


class Stale(OperationError):
    """Somebody else has changed the thing since the version that the request names."""
