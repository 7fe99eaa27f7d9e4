"""Who plays: people, each with a key, as they would have made them on the pages."""

import secrets
from dataclasses import dataclass

from gateway.core.account import Priority
from gateway.team.actor import Actor, ActorKind, Face, Way, machine_actor
from gateway.team.models.keys import NewKey
from gateway.team.operations.keys import create_key
from gateway.team.operations.people import add_person
from gateway.team.roles import Role
from gateway.team.unit_of_work import TeamDatabase

# A person, and what they call their key. Each plays what `habits.py` says of the key's name.
PEOPLE = {
    "Ana": ("ana's laptop", "nightly-batch"),
    "Ben": ("chat-ui",),
    "Chidi": ("phone",),
    "Dora": ("half-finished",),
}
_BATCH = "nightly-batch"


@dataclass(frozen=True, slots=True)
class Player:
    """A key that makes requests: its id, its name and its text, and the id of whom it belongs to."""

    id: str
    name: str
    key: str
    person: str


async def gather_team(database: TeamDatabase, account: str) -> list[Player]:
    """Make the people and their keys, members of this account. Raises SourceError."""
    players = []
    for person, names in PEOPLE.items():
        person_id = "per_" + secrets.token_hex(6)
        async with database.change(machine_actor("sandbox")) as unit:
            await add_person(unit, person_id, [account], name=person, role=Role.MEMBER.value, enabled=True)
        actor = Actor(ActorKind.PERSON, person_id, person, Role.MEMBER, Way(Face.PAGE), frozenset({account}))
        async with database.change(actor) as unit:
            for name in names:
                priority = Priority.BATCH if name == _BATCH else Priority.INTERACTIVE
                made = await create_key(unit, NewKey(account=account, name=name, priority=priority))
                players.append(Player(made.id, name, made.key, person_id))
    return players
