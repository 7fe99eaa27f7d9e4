"""Who streams what now, and ending it: by the operations, as page, admin API and command line do them."""

from pathlib import Path

import pytest

from gateway.proxy.upstream.connection_pools import POOLS
from gateway.server.activity.throughput import Throughput
from gateway.team.actor import Actor, ActorKind, Face, Way
from gateway.team.exchanges import CarriedExchange
from gateway.team.operation_error import Conflict, Denied, NotFound
from gateway.team.operations.operation import Call, perform
from gateway.team.operations.table import OPERATIONS
from gateway.team.roles import Role
from gateway.team.unit_of_work import TeamDatabase
from mockserver import MockLlamaServer
from tests.harness.pages.team_pages import Team, team_serving
from tests.unit.gateway.activity.streams import key_for, streaming


def member(*accounts: str) -> Actor:
    return Actor(ActorKind.PERSON, "per_1", "mia", Role.MEMBER, Way(Face.PAGE), frozenset(accounts))


async def seen_by(team: Team, actor: Actor) -> list[object]:
    found = await perform(team.database, actor, Call(OPERATIONS["activity.list"]))
    return list(found.items)  # type: ignore[attr-defined]


@pytest.mark.slow
async def test_a_stream_is_listed_and_ended_and_its_slot_is_free(tmp_path: Path) -> None:
    async with MockLlamaServer(tokens_per_second=20) as mock, team_serving(tmp_path, "acme") as team:
        key = await key_for(team, mock.url)
        async with streaming(team.url, key.key, **{"x-request-id": "same-as-another"}) as answer:
            [one] = (await team.do("activity.list")).items
            assert (one.deployment, one.key_name, one.account) == ("demo", "laptop", "acme")
            assert one.endpoint == "/v1/chat/completions"
            assert one.is_answering
            assert one.bytes > 0
            ended = await team.do("activity.end", one.id)
            assert ended.id == one.id
            assert "An administrator has ended this request." in await answer.broken()
        assert team.app[POOLS].known()["demo"].connections["in_use"] == 0
        assert (await team.do("activity.list")).items == []
        with pytest.raises(NotFound):
            await team.do("activity.end", one.id)
        [noted] = [row for row in (await team.do("audit.list")).items if row.action == "activity.end"]
        assert noted.target == one.id


async def test_a_member_sees_their_accounts_and_may_end_nothing(tmp_path: Path) -> None:
    async with MockLlamaServer(tokens_per_second=20) as mock, team_serving(tmp_path, "acme", "other") as team:
        key = await key_for(team, mock.url)
        async with streaming(team.url, key.key):
            [one] = await seen_by(team, member("acme"))
            assert await seen_by(team, member("other")) == []
            call = Call(OPERATIONS["activity.end"], (one.id,))  # type: ignore[attr-defined]
            with pytest.raises(Denied):
                await perform(team.database, member("acme"), call)


async def test_who_opens_the_database_itself_is_told_to_ask_a_gateway(tmp_path: Path) -> None:
    async with team_serving(tmp_path, "acme") as team:
        apart = TeamDatabase(tmp_path / "gateway.db")
        with pytest.raises(Conflict, match="running gateway"):
            await perform(apart, member("acme"), Call(OPERATIONS["activity.list"]))
        await apart.close()
        assert team.database is not apart


def carried(events: int, age: float = 2.0) -> CarriedExchange:
    return CarriedExchange("act_0_1", "key_1", "acme", "demo", "/v1/chat/completions", age, 100 * events, events, True)


def test_tokens_a_second_are_those_since_a_look_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("gateway.server.activity.throughput.monotonic", lambda: now[0])
    meter = Throughput()
    assert meter.rates([carried(100)]) == {"demo": 50.0}  # by its average, at the first look
    now[0] += 2
    assert meter.rates([carried(110, 4.0)]) == {"demo": 5.0}
    now[0] += 0.1  # another who looks
    assert meter.rates([carried(111, 4.1)]) == {"demo": pytest.approx(11 / 2.1)}
    now[0] += 60
    assert meter.rates([]) == {}
