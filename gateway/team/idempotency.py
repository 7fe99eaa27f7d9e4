"""An operation asked for twice under one `Idempotency-Key` is done once; the second time gets the first one's answer.

The answer may hold a secret that is stored nowhere, such as a new key. So it is sealed with a key that only the caller
can make again: of the caller's own credential and the `Idempotency-Key`.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from cryptography.fernet import Fernet
from pydantic import BaseModel
from sqlalchemy import delete, insert, select

from gateway.registry.database.team_tables import idempotency
from gateway.team.actor import Actor
from gateway.team.operation_error import Conflict
from gateway.team.operations.operation import Call, require_permission, run
from gateway.team.unit_of_work import TeamDatabase

_KEPT_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Repeatable:
    """What tells a repeated request: the `Idempotency-Key`, who sent it, and all that it says.

    `credential` is the text of the caller's token or session; `content` is method, path and body.
    """

    key: str
    credential: str
    content: bytes

    @property
    def digest(self) -> str:
        """By which the first answer is found again, in hex."""
        return self._hash(b"found by").hex()

    @property
    def seal(self) -> Fernet:
        """What closes and opens the answer."""
        return Fernet(base64.urlsafe_b64encode(self._hash(b"sealed by")))

    @property
    def request(self) -> str:
        """The SHA-256 of all that the request says, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    def _hash(self, purpose: bytes) -> bytes:
        secret = hashlib.sha256(self.credential.encode()).digest()
        return hashlib.blake2b(self.key.encode(), key=secret, person=purpose).digest()[:32]


async def perform_once(
    database: TeamDatabase, actor: Actor, call: Call, repeatable: Repeatable, told: Callable[[BaseModel], BaseModel]
) -> tuple[bytes, bool]:
    """As `perform`, but at most once. Returns the result as JSON, and whether it is that of an earlier request.

    `told` makes of the result what is answered. Raises Conflict if the key was used for another request.
    """
    require_permission(actor, call.operation)
    async with database.change(actor, call.expected_version) as unit:
        await unit.connection.execute(delete(idempotency).where(idempotency.c.created_at < unit.now - _KEPT_FOR))
        same = idempotency.c.digest == repeatable.digest
        row = (await unit.connection.execute(select(idempotency).where(same))).first()
        if row is not None and row.request != repeatable.request:
            raise Conflict("This Idempotency-Key was used for another request.")
        if row is not None:
            return repeatable.seal.decrypt(row.answer), True
        result = told(await run(unit, call)).model_dump_json().encode()
        values = {"digest": repeatable.digest, "request": repeatable.request, "created_at": unit.now}
        await unit.connection.execute(insert(idempotency).values(**values, answer=repeatable.seal.encrypt(result)))
        return result, False
