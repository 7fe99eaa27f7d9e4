"""A secret that is printed this once. One that nobody has seen is taken back: it would stay valid, and be lost."""

from collections.abc import Callable, Mapping

from gateway.cli.output import OutputError, print_json, say
from gateway.config.document import SourceError
from gateway.registry.base import ChangeError


def show(
    said: Mapping[str, object],
    secret: str,
    as_json: bool,
    *,
    called: str,
    take_back: Callable[[], object],
    taken: str = "revoked",
    revoke: str = "revoke",
    more: str = "",
) -> None:
    """Print all of it as JSON, or the one field `secret`. Raises OutputError, once it is taken back.

    `called` begins the sentence about it, `more` ends it; `taken` and `revoke` are what is done with it.
    """
    try:
        print_json(said) if as_json else say(str(said[secret]))
    except OutputError as error:
        unseen = f"{error.strerror} {called} was shown to nobody and"
        try:
            take_back()
        except (SourceError, ChangeError) as failure:
            raise OutputError(None, f"{unseen} could not be {taken} ({failure}): {revoke} it.{more}") from error
        raise OutputError(None, f"{unseen} is {taken} again.{more}") from error
