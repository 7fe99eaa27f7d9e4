"""What is done with the requests under way."""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import select

from gateway.core.account import Priority
from gateway.registry.database.tables import keys
from gateway.registry.database.team_tables import people
from gateway.team.exchanges import CarriedExchange
from gateway.team.models.activity import Activity, ActivityQuery
from gateway.team.models.common import Page
from gateway.team.operation_error import Conflict, NotFound
from gateway.team.unit_of_work import UnitOfWork

_MOST = 1000  # that are shown: the oldest


async def list_activity(unit: UnitOfWork, query: ActivityQuery) -> Page[Activity]:
    """The requests under way within the actor's reach, the oldest first, and a thousand at most."""
    found = [
        one
        for one in await unit.exchanges.under_way()
        if unit.actor.sees_account("activity.list", one.account)
        and query.account in {None, one.account}
        and query.deployment in {None, one.deployment}
    ]
    return Page(items=await _views(unit, found[:_MOST]))


async def end_activity(unit: UnitOfWork, exchange_id: str) -> Activity:
    """Break a request off, visibly for its client. Raises NotFound for one that is over, or never was."""
    ended = await _one(unit, "activity.end", exchange_id)
    await unit.exchanges.end(exchange_id)
    await unit.note("activity.end", exchange_id, account=ended.account, before=ended.model_dump(mode="json"))
    return ended


async def move_activity(unit: UnitOfWork, exchange_id: str) -> Activity:
    """Let a request be the next in its line. Raises NotFound for one that is over, and Conflict for one in no line."""
    moved = await _one(unit, "activity.move", exchange_id)
    if moved.position is None:
        raise Conflict("This request does not wait in line.")
    await unit.exchanges.move_to_front(exchange_id)
    await unit.note("activity.move", exchange_id, account=moved.account, before=moved.model_dump(mode="json"))
    return moved


async def _one(unit: UnitOfWork, action: str, exchange_id: str) -> Activity:
    found = [
        one
        for one in await unit.exchanges.under_way()
        if one.id == exchange_id and unit.actor.sees_account(action, one.account)
    ]
    if not found:
        raise NotFound("This request is over already.")
    [view] = await _views(unit, found[:1])
    return view


async def _views(unit: UnitOfWork, found: Collection[CarriedExchange]) -> list[Activity]:
    query = select(keys.c.id, keys.c.name, people.c.name).outerjoin(people, people.c.id == keys.c.created_by)
    rows = await unit.connection.execute(query.where(keys.c.id.in_({one.key for one in found})))
    known = {key_id: (name, person) for key_id, name, person in rows}
    return [
        Activity(
            id=one.id,
            account=one.account,
            key=one.key,
            key_name=known.get(one.key, (None, None))[0],
            person=known.get(one.key, (None, None))[1],
            deployment=one.deployment,
            endpoint=one.endpoint,
            started_at=(unit.now - timedelta(seconds=one.age)).replace(microsecond=0),
            bytes=one.bytes_out,
            events=one.events,
            is_answering=one.is_answering,
            priority=Priority.BATCH if one.is_batch else Priority.INTERACTIVE,
            position=one.position,
            expected_wait=None if one.wait is None else round(one.wait, 1),
        )
        for one in found
    ]
