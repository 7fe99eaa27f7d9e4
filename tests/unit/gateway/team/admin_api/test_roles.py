"""Every operation, asked for by everybody: nothing is done that the table of roles and the scopes do not allow."""

import re
from dataclasses import dataclass, field
from itertools import count

import pytest

from gateway.team.operations.operation import Operation
from gateway.team.operations.table import OPERATIONS
from gateway.team.roles import PERMISSIONS, Reach, Role
from gateway.team.scopes import ALL_SCOPES, SCOPES
from tests.harness.pages.team_pages import Team
from tests.unit.gateway.team.admin_client import AdminClient, Reply, a_token, nobody

MISSING = "thing0"
_KIND = re.compile(r"\{([a-z_]+)\}")


@dataclass
class Walk:
    """Asks for operations, each time for things that nobody has asked for before."""

    team: Team
    root: AdminClient
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def fresh(self) -> str:
        return f"thing{next(self.numbers)}"

    async def thing(self, kind: str, account: str, owner: AdminClient) -> str:
        """The id of a new thing of an account, which `owner` makes if it may; the missing one if nothing is known."""
        name = self.fresh()
        if kind == "person":
            await self.team.person(name, "member", [account])
            return str(next(one.id for one in (await self.team.do("people.list")).items if one.name == name))
        operation = OPERATIONS.get({"limit": "limits.set"}.get(kind, kind + "s.create"))
        if operation is None:
            return MISSING
        asked = self.body(operation.name, account, name)
        maker = owner if kind == "key" else self.root
        made = await maker.ask(operation.method, operation.path, asked)
        assert made.status == operation.status
        return str(made.json["id"])

    def body(self, name: str, account: str, fresh: str) -> dict[str, object] | None:
        """What an operation is asked for with, of which nothing is wrong."""
        bodies: dict[str, dict[str, object]] = {
            "accounts.create": {"id": fresh},
            "accounts.change": {"weight": 2},
            "people.change": {"name": fresh},
            "invitations.create": {"name": fresh},
            "keys.create": {"account": account, "name": fresh},
            "keys.change": {"name": fresh},
            "tokens.create": {"name": fresh, "scopes": ["tokens:write"]},
            "deployments.create": {"id": fresh, "account": account, "upstream": "http://127.0.0.1:9"},
            "deployments.change": {"ping": 5},
            "playground.key": {"deployment": f"play-{account}"},
            "limits.set": {"kind": "account", "subject": account, "measure": "tokens_per_day", "amount": 10**9},
            "limits.change": {"amount": 10**9 + 1},
        }
        return bodies.get(name)

    async def ask(self, who: AdminClient, operation: Operation, thing: str, account: str) -> Reply:
        """Ask for an operation on a thing, or for a new one of an account."""
        body = self.body(operation.name, account, self.fresh())
        return await who.ask(operation.method, _KIND.sub(thing, operation.path), body)

    async def ask_for_new(self, who: AdminClient, operation: Operation, account: str, owner: AdminClient) -> Reply:
        """Ask for an operation on a thing that was made for this."""
        kinds = _KIND.findall(operation.path)
        if operation.name == "playground.end":
            made = await owner.ask("POST", "/playground/keys", {"deployment": f"play-{account}"})
            return await self.ask(who, operation, str(made.json["id"]), account)
        thing = await self.thing(kinds[0], account, owner) if kinds else ""
        return await self.ask(who, operation, thing, account)


def is_done(operation: Operation, reply: Reply) -> bool:
    """Whether the operation was done, or would have been if the thing were there: of some, tests make none."""
    return reply.status == operation.status or (reply.status == 404 and "request" in operation.path)


@pytest.fixture
async def walk(team: Team, admin: AdminClient) -> Walk:
    walk = Walk(team, admin)
    for account in ("acme", "beta"):
        asked = walk.body("deployments.create", account, f"play-{account}")
        assert (await admin.ask("POST", "/deployments", asked)).status == 201
    return walk


@pytest.mark.slow
async def test_who_is_nobody_gets_nothing(walk: Walk, team: Team) -> None:
    model_key = (await walk.root.ask("POST", "/keys", {"account": "acme", "name": "laptop"})).json["key"]
    async with nobody(team) as client:
        strangers = [client, client.by_token(model_key), client.by_token("gwa_" + "x" * 46), client.by_session("gws_x")]
        found = {
            (operation.name, number, reply.status)
            for operation in OPERATIONS.values()
            for number, who in enumerate(strangers)
            if (reply := await walk.ask(who, operation, MISSING, "acme")).status != 401
            or reply.headers["WWW-Authenticate"] != "Bearer"
        }
    assert found == set()


async def test_a_token_is_no_model_key(team: Team, admin: AdminClient) -> None:
    for path in ("/api/gguf/demo/v1/models", "/api/gguf/demo/health"):
        for where in ({"Authorization": admin.headers["Authorization"]}, {"x-api-key": await a_token(team)}):
            reply = await AdminClient(admin.session, admin.url, where).ask("GET", team.url + path)
            assert reply.status == 401


@pytest.mark.slow
async def test_a_token_does_what_its_scope_says_and_nothing_else(walk: Walk, team: Team) -> None:
    all_scopes = set(SCOPES) - {ALL_SCOPES}
    assert {operation.scope for operation in OPERATIONS.values()} <= all_scopes
    wrong = []
    for operation in OPERATIONS.values():
        scoped = walk.root.by_token(await a_token(team, operation.scope))
        if not is_done(operation, await walk.ask_for_new(scoped, operation, "acme", walk.root)):
            wrong.append(operation.name)
        others = walk.root.by_token(await a_token(team, *sorted(all_scopes - {operation.scope})))
        reply = await walk.ask_for_new(others, operation, "acme", walk.root)
        challenge = f'Bearer error="insufficient_scope", scope="{operation.scope}"'
        if reply.status != 403 or reply.headers["WWW-Authenticate"] != challenge:
            wrong.append(f"{operation.name} without its scope")
        if operation.scope not in reply.json["error"]["message"]:
            wrong.append(f"{operation.name} does not name its scope")
    assert wrong == []


@pytest.mark.slow
async def test_an_admin_does_everything(walk: Walk, team: Team) -> None:
    ada = walk.root.by_session(await team.person("ada", "admin"))
    wrong = [
        operation.name
        for operation in OPERATIONS.values()
        if not is_done(operation, await walk.ask_for_new(ada, operation, "beta", walk.root))
    ]
    assert wrong == []
    assert {(Role.ADMIN, name) for name in OPERATIONS} <= set(PERMISSIONS)


@pytest.mark.slow
async def test_a_member_does_what_the_table_says_and_nothing_else(walk: Walk, team: Team) -> None:
    bob = walk.root.by_session(await team.person("bob", "member", ["acme"]))
    carol = walk.root.by_session(await team.person("carol", "member", ["acme"]))
    await walk.thing("deployment", "acme", walk.root)  # whose name could be meant by a missing one
    wrong = []
    for operation in OPERATIONS.values():
        reach = PERMISSIONS.get((Role.MEMBER, operation.name))
        foreign = [await walk.ask_for_new(bob, operation, "beta", walk.root)]
        if reach is None:
            foreign.append(await walk.ask_for_new(bob, operation, "acme", walk.root))
            foreign.append(await walk.ask(bob, operation, MISSING, "acme"))
            wrong += [operation.name for reply in foreign if reply.status != 403]
            continue
        if reach is Reach.OWN and "{key}" in operation.path:
            foreign.append(await walk.ask_for_new(bob, operation, "acme", carol))
        if _KIND.search(operation.path) and "person" not in operation.path:
            own = await walk.ask_for_new(bob, operation, "acme", bob)
            wrong += [] if is_done(operation, own) else [f"{operation.name} on what is their own"]
        if _KIND.search(operation.path):
            missing = shape(await walk.ask(bob, operation, MISSING, "nowhere"))
            wrong += [f"{operation.name} of others" for reply in foreign if shape(reply) != missing]
    assert wrong == []


async def test_a_member_is_told_nothing_of_another_account(walk: Walk, team: Team) -> None:
    bob = walk.root.by_session(await team.person("bob", "member", ["acme"]))
    await walk.thing("deployment", "beta", walk.root)
    await walk.thing("key", "beta", walk.root)
    for name in ("keys.list", "deployments.list"):
        path = OPERATIONS[name].path
        foreign, missing = [await bob.ask("GET", f"{path}?account={one}") for one in ("beta", "nowhere")]
        assert (foreign.status, foreign.body) == (missing.status, missing.body)
        assert b"beta" not in (await bob.ask("GET", path)).body
    made = [await bob.ask("POST", "/keys", {"account": one, "name": "laptop"}) for one in ("beta", "nope")]
    assert made[0].status == made[1].status == 404
    assert made[0].body.replace(b"beta", b"nope") == made[1].body


async def test_a_token_makes_no_token_of_more_scopes(team: Team, admin: AdminClient) -> None:
    narrow = admin.by_token(await a_token(team, "tokens:write"))
    for scopes in (["*"], ["keys:write"], ["tokens:write", "tokens:read"]):
        assert (await narrow.ask("POST", "/tokens", {"name": "more", "scopes": scopes})).status == 403


def shape(reply: Reply) -> tuple[int, bytes]:
    """An answer without the ids in it."""
    return reply.status, re.sub(rb"(thing[0-9]+|(key|per|inv|tok|play)_[0-9a-f]+)", b"ID", reply.body)
