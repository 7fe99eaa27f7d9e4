"""The control port's further endpoints: faults, canned answers, the scenario, the clock, the journal as HAR."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from mockserver.core.clock import Clock
from mockserver.engine.canned_answers import CannedAnswers
from mockserver.play.control.control_api import BadControlRequest, control_response, object_of
from mockserver.play.faults import Faults


class ScenarioProgress(Protocol):
    """A scenario under way."""

    def as_json(self) -> dict[str, Any]:
        """How far it is."""


class ScriptedMock(Protocol):
    """The part of a mock that a script steers."""

    clock: Clock

    @property
    def faults(self) -> Faults: ...
    @property
    def answers(self) -> CannedAnswers: ...
    @property
    def scenario_player(self) -> ScenarioProgress | None: ...
    async def play(self, scenario: Any) -> None: ...
    async def stop_playing(self) -> None: ...
    async def advance(self, seconds: float) -> None: ...
    def har(self) -> dict[str, Any]: ...


SCRIPTED_MOCK = web.AppKey("scripted", ScriptedMock)
Rules = Callable[[ScriptedMock], Faults | CannedAnswers]
RulesHandler = Callable[[web.Request, Faults | CannedAnswers, str], Awaitable[web.StreamResponse]]


def _faults(scripted: ScriptedMock) -> Faults | CannedAnswers:
    return scripted.faults


def _answers(scripted: ScriptedMock) -> Faults | CannedAnswers:
    return scripted.answers


async def _written(request: web.Request) -> Any:
    """The body: a JSON object, or a line of text, which may be a JSON string."""
    text = await request.text()
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip()
    return value if isinstance(value, dict) else str(value)


async def list_rules(request: web.Request, rules: Faults | CannedAnswers, name: str) -> web.Response:
    """`GET /__mock__/faults`, `GET /__mock__/answers`."""
    return control_response({name: [rule.as_json() for rule in rules]})


async def add_rule(request: web.Request, rules: Faults | CannedAnswers, name: str) -> web.Response:
    """`POST /__mock__/faults`, `POST /__mock__/answers`."""
    return control_response(rules.add(await _written(request)).as_json(), 201)


async def delete_rules(request: web.Request, rules: Faults | CannedAnswers, name: str) -> web.Response:
    """`DELETE /__mock__/faults`, or `/__mock__/faults/{id}` for one; the same for answers."""
    number = request.match_info.get("id")
    if number is None:
        rules.clear()
        return web.Response(status=204)
    try:
        rules.remove(int(number))
    except KeyError as error:
        return control_response({"error": f"There is no {number} among the {name}: {error}."}, 404)
    return web.Response(status=204)


async def get_scenario(request: web.Request) -> web.Response:
    """`GET /__mock__/scenario`: how far the one under way is."""
    scenario_player = request.app[SCRIPTED_MOCK].scenario_player
    return control_response({"scenario": scenario_player.as_json() if scenario_player else None})


async def post_scenario(request: web.Request) -> web.Response:
    """`POST /__mock__/scenario`: play it from now on."""
    scripted, scenario = request.app[SCRIPTED_MOCK], await object_of(request)
    wanted, there = scenario.get("clock"), "virtual" if scripted.clock.is_virtual else "real"
    if wanted not in (None, there):
        raise BadControlRequest(f"The clock is {there}, and is chosen when the mock is started.")
    await scripted.play(scenario)
    return await get_scenario(request)


async def delete_scenario(request: web.Request) -> web.Response:
    """`DELETE /__mock__/scenario`: no further step of it."""
    await request.app[SCRIPTED_MOCK].stop_playing()
    return web.Response(status=204)


async def get_clock(request: web.Request) -> web.Response:
    """`GET /__mock__/clock`."""
    clock = request.app[SCRIPTED_MOCK].clock
    return control_response({"clock": "virtual" if clock.is_virtual else "real", "now": round(clock.now(), 6)})


async def post_clock(request: web.Request) -> web.Response:
    """`POST /__mock__/clock {"advance_seconds": 3}`: answers when all that happens in that time has happened."""
    body = await object_of(request)
    seconds = body.get("advance_seconds")
    if set(body) != {"advance_seconds"} or isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise BadControlRequest('The body must be {"advance_seconds": NUMBER}.')
    await request.app[SCRIPTED_MOCK].advance(seconds)
    return await get_clock(request)


async def get_har(request: web.Request) -> web.Response:
    """`GET /__mock__/requests.har`."""
    return control_response(request.app[SCRIPTED_MOCK].har())


def _on_rules(handler: RulesHandler, rules: Rules, name: str) -> Handler:
    """The handler of an endpoint for these rules of the mock."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request, rules(request.app[SCRIPTED_MOCK]), name)

    return handle


def _blaming_client(handler: Handler) -> Handler:
    """The same handler; its ValueErrors, each one sentence, are the client's fault."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadControlRequest:
            raise
        except ValueError as error:
            raise BadControlRequest(str(error)) from error

    return handle


def add_script_routes(app: web.Application, scripted: ScriptedMock) -> None:
    """Add the endpoints of this file to the control port."""
    app[SCRIPTED_MOCK] = scripted
    for name, rules in (("faults", _faults), ("answers", _answers)):
        for method, path, handler in (
            ("GET", name, list_rules),
            ("POST", name, add_rule),
            ("DELETE", name, delete_rules),
            ("DELETE", f"{name}/{{id:\\d+}}", delete_rules),
        ):
            app.router.add_route(method, f"/__mock__/{path}", _blaming_client(_on_rules(handler, rules, name)))
    for method, path, plain in (
        ("GET", "scenario", get_scenario),
        ("POST", "scenario", post_scenario),
        ("DELETE", "scenario", delete_scenario),
        ("GET", "clock", get_clock),
        ("POST", "clock", post_clock),
        ("GET", "requests.har", get_har),
    ):
        app.router.add_route(method, f"/__mock__/{path}", _blaming_client(plain))
