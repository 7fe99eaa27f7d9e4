"""What several workers carry, seen through one of them: all of it is listed, ended, and cut with its key."""

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from gateway.registry.database.engine import database_url
from gateway.registry.database.migrate import prepare
from gateway.team.actor import Face, Way, machine_actor
from gateway.team.models.accounts import NewAccount
from gateway.team.models.deployments import NewDeployment
from gateway.team.models.keys import NewKey
from gateway.team.models.tokens import NewToken
from gateway.team.operations.operation import Call, perform
from gateway.team.operations.people import add_person
from gateway.team.operations.table import OPERATIONS
from gateway.team.signing_in.session_limits import SessionLimits
from gateway.team.signing_in.sessions import begin_session
from gateway.team.unit_of_work import TeamDatabase
from tests.harness import scene
from tests.harness.patience import wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import WireClient, request
from tests.wire.lifecycle.held_streams import HeldStreams

pytestmark = pytest.mark.slow

_CLIENTS = 16  # with so many, luck alone cannot miss a worker


class Secrets(NamedTuple):
    """A key, its id, an admin token, and the session of an admin."""

    key_id: str
    key: str
    token: str
    session: str


async def made(place: Path, upstream: str) -> Secrets:
    """A database with the deployment demo before `upstream`."""
    await prepare(database_url(place), create=True)
    database = TeamDatabase(place)

    async def do(name: str, asked: BaseModel) -> Any:
        return await perform(database, machine_actor("root"), Call(OPERATIONS[name], request=asked))

    demo = {"id": "demo", "account": "acme", "upstream": upstream, "status": "ready"}
    await do("accounts.create", NewAccount(id="acme"))
    await do("deployments.create", NewDeployment.model_validate(demo))
    key = await do("keys.create", NewKey(account="acme", name="laptop"))
    token = await do("tokens.create", NewToken.model_validate({"name": "ci", "scopes": ["*"]}))
    async with database.change(machine_actor("root")) as unit:
        await add_person(unit, "per_1", (), name="ada", role="admin", enabled=True)
        session = await begin_session(unit.connection, "per_1", Way(Face.PAGE), SessionLimits())
    await database.close()
    return Secrets(key.id, key.key, token.token, session)


def asked(gateway: GatewayProcess, method: str, path: str, token: str, body: bytes | None = None) -> Any:
    """What the admin API answers."""
    json_body = ("Content-Type: application/json",) if body else ()
    answer = gateway.ask(request(f"/api/admin/v1{path}", *json_body, method=method, key=token, body=body))
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def begin(gateway: GatewayProcess, key: str) -> list[WireClient]:
    clients = [gateway.connect() for _ in range(_CLIENTS)]
    for client in clients:
        client.send(request(scene.CHAT, key=key, body=scene.BODY))
        client.read_head()
        client.read_some()
    return clients


def test_streams_of_all_workers_are_listed_ended_and_cut_with_their_key(
    upstream: ScriptedUpstream, start_gateway: StartGateway, tmp_path: Path
) -> None:
    place = tmp_path / "team.db"
    known = asyncio.run(made(place, upstream.url))
    gateway = start_gateway(f"server: {{port: 0, workers: 2}}\ndatabase: {place}\n")
    with upstream.playing(HeldStreams()):
        clients = begin(gateway, known.key)

        listed = asked(gateway, "GET", "/activity", known.token)["items"]
        assert len(listed) == _CLIENTS
        assert {one["id"].split("_")[1] for one in listed} == {"0", "1"}

        ended = [next(one for one in listed if one["id"].startswith(f"act_{number}_")) for number in (0, 1)]
        for one in ended:
            asked(gateway, "POST", f"/activity/{one['id']}/end", known.token)
        wait_until(lambda: upstream.busy == _CLIENTS - 2, "what was ended goes on")

        asked(gateway, "POST", f"/keys/{known.key_id}/revoke", known.token, b'{"now": true}')
        wait_until(lambda: upstream.busy == 0, "what runs on a revoked key goes on")
        endings = [client.read_to_end() for client in clients]
        assert sum(b"An administrator has ended this request." in ending for ending in endings) == 2
        assert sum(b"Invalid API key." in ending for ending in endings) == _CLIENTS - 2
        assert not any(ending.endswith(b"0\r\n\r\n") for ending in endings)


def test_the_line_of_all_workers_is_listed_and_changed_by_any_of_them(
    upstream: ScriptedUpstream, start_gateway: StartGateway, tmp_path: Path
) -> None:
    place = tmp_path / "team.db"
    known = asyncio.run(made(place, upstream.url))
    gateway = start_gateway(f"server: {{port: 0, workers: 2, limits: {{connections: 1}}}}\ndatabase: {place}\n")

    def line() -> list[str]:
        """The ids of those that wait, in their order."""
        found = [one for one in asked(gateway, "GET", "/activity", known.token)["items"] if one["position"]]
        return [one["id"] for one in sorted(found, key=lambda one: one["position"])]

    with upstream.playing(HeldStreams()):
        clients = [gateway.connect() for _ in range(_CLIENTS)]
        for client in clients:
            client.send(request(scene.CHAT, key=known.key, body=scene.BODY))
        wait_until(lambda: len(set(line())) == _CLIENTS - 1, "not all are in line")
        assert {one.split("_")[1] for one in line()} == {"0", "1"}
        for number in (0, 1):
            last = [one for one in line() if one.startswith(f"act_{number}_")][-1]
            asked(gateway, "POST", f"/activity/{last}/move", known.token)
            wait_until(lambda moved=last: line()[0] == moved, "it is not the next")  # type: ignore[misc]
        for client in clients:
            client.close()
        wait_until(lambda: not line(), "who left is in line still")


def test_a_deployments_page_shows_what_all_workers_have_refused(
    upstream: ScriptedUpstream, start_gateway: StartGateway, tmp_path: Path
) -> None:
    place = tmp_path / "team.db"
    known = asyncio.run(made(place, upstream.url))
    gateway = start_gateway(f"server: {{port: 0, workers: 2}}\ndatabase: {place}\n")
    asked(gateway, "POST", "/deployments/demo/pause", known.token)

    refused = request(scene.CHAT, key=known.key, body=scene.BODY)
    for _ in range(_CLIENTS):
        one = gateway.connect()
        wait_until(lambda one=one: one.ask(refused).status == 503, "it is not paused")  # type: ignore[misc]

    seen = request("/deployments/demo", f"Cookie: gateway_session={known.session}", method="GET")
    for _ in range(_CLIENTS):  # whichever worker answers
        wait_until(
            lambda: f'</span>{_CLIENTS}<span class="unseen"> times'.encode() in gateway.ask(seen).body, "not all"
        )
