"""What a command asks for, whichever way leads there: an operation of the team, by its name."""

import abc
from collections.abc import AsyncIterator, Sequence
from typing import Any

from pydantic import BaseModel

from gateway.team.models.common import PageQuery
from gateway.team.operation_error import Stale

_LONGEST_PAGE = 1000
_TRIES = 5


class TeamClient(abc.ABC):
    """One way to the operations in `gateway/team/operations/table.py`."""

    @abc.abstractmethod
    async def perform(
        self,
        name: str,
        *ids: str,
        request: BaseModel | None = None,
        expected_version: int | None = None,
        make_account: str | None = None,
    ) -> Any:
        """Do it, and return the result, of the type that the table names.

        With `make_account` an account of that name is made first, if there is none; it does not stay if the operation
        then fails. Raises ChangeError, of which OperationError is one, and SourceError.
        """

    async def pages(self, name: str, query: PageQuery) -> AsyncIterator[Sequence[Any]]:
        """All that a list holds, page by page."""
        cursor: str | None = None
        while True:
            asked = query.model_copy(update={"limit": _LONGEST_PAGE, "cursor": cursor})
            page = await self.perform(name, request=asked)
            yield page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    async def every(self, name: str, query: PageQuery) -> list[Any]:
        """All that a list holds."""
        return [one async for page in self.pages(name, query) for one in page]

    async def change(
        self, kind: str, thing_id: str, request: BaseModel, make_account: str | None = None
    ) -> tuple[Any, Any]:
        """Change a thing in what `request` names. Returns it as it was right before, and as it is.

        Who changes something else of it at the same time loses nothing: what is named is named again, on top of that.
        """
        for _ in range(_TRIES):
            before = await self.perform(f"{kind}.get", thing_id)
            try:
                after = await self.perform(
                    f"{kind}.change",
                    thing_id,
                    request=request,
                    expected_version=before.version,
                    make_account=make_account,
                )
            except Stale:
                continue
            return before, after
        raise Stale("Others change it all the time; nothing was changed.")
