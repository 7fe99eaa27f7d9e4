"""The control port: what the mock plays, and what it received. Open in every state."""

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from mockserver.core.nlohmann_json import dump
from mockserver.core.state import State, StateName
from mockserver.play.control.control_access import CONTROL_NAMES, refuse_pages
from mockserver.play.journal import ExchangeEnd, Journal, JournalFilter

_DURATIONS = ("load_seconds", "down_seconds", "up_seconds", "wake_seconds")
_LAST_CODE = 255
_FILTER = ("ended", "method", "path", "status", "after", "probes")


class ControlledMock(Protocol):
    """The part of a mock that the control port steers."""

    journal: Journal

    def describe(self) -> dict[str, Any]:
        """The state as JSON."""

    @property
    def set_state(self) -> Callable[..., Awaitable[None]]:
        """Play another state; returns when the port is really open or closed."""

    async def wait_for_state(self, state: StateName, timeout: float = ...) -> None:
        """Return once the state is reached."""

    async def reset(self) -> None:
        """Be as a test wants to begin."""


class BadControlRequest(ValueError):
    """A control request that cannot be understood; its message is one sentence for the client."""


CONTROLLED_MOCK = web.AppKey("controlled", ControlledMock)


def control_response(value: Any, status: int = 200) -> web.Response:
    """An answer of the control port: JSON as the mock writes it everywhere."""
    return web.json_response(value, status=status, dumps=dump)


async def object_of(request: web.Request) -> dict[str, Any]:
    """The JSON object of a body. Raises BadControlRequest."""
    try:
        value = await request.json()
    except ValueError as error:
        raise BadControlRequest(f"The body is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise BadControlRequest("The body must be a JSON object.")
    return value


def read_state(body: Mapping[str, Any]) -> tuple[State, dict[str, float | None], int | None]:
    """The state, the durations and the exit code of a PUT body; raises BadControlRequest naming what is wrong."""
    unknown = sorted(set(body) - {"state", "exit_code", *_DURATIONS})
    if unknown:
        raise BadControlRequest(f"Unknown field {unknown[0]!r}; valid are state, {', '.join(_DURATIONS)}, exit_code.")
    state = _state(body.get("state"))
    if body.get("wake_seconds", 0) is None:
        raise BadControlRequest("'wake_seconds' must be a number of seconds, 0 or more.")
    durations = {name: body[name] for name in _DURATIONS if name in body}
    for name, seconds in durations.items():
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if seconds is not None and not (is_number and seconds >= 0):
            raise BadControlRequest(f"'{name}' must be a number of seconds, 0 or more, or null; got {seconds!r}.")
    return state, durations, _exit_code(state, body.get("exit_code"))


def _state(name: Any) -> State:
    if name not in list(State):
        raise BadControlRequest(f"'state' must be one of {', '.join(State)}; got {name!r}.")
    return State(name)


def _exit_code(state: State, code: Any) -> int | None:
    if code is None:
        return None
    if state is not State.CRASHED:
        raise BadControlRequest("'exit_code' belongs to the state 'crashed'.")
    if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= _LAST_CODE:
        raise BadControlRequest(f"'exit_code' must be a whole number from 0 to {_LAST_CODE}; got {code!r}.")
    return code


async def get_state(request: web.Request) -> web.Response:
    """`GET /__mock__/state`."""
    return control_response(request.app[CONTROLLED_MOCK].describe())


async def put_state(request: web.Request) -> web.Response:
    """`PUT /__mock__/state`."""
    controlled = request.app[CONTROLLED_MOCK]
    state, durations, exit_code = read_state(await object_of(request))
    await controlled.set_state(state, exit_code=exit_code, **durations)
    return control_response(controlled.describe())


async def wait_state(request: web.Request) -> web.Response:
    """`GET /__mock__/state/wait?state=ready&timeout=5`."""
    controlled, query = request.app[CONTROLLED_MOCK], request.query
    _refuse_unknown(query, ("state", "timeout"))
    state, timeout = _state(query.get("state")), _number(query, "timeout", 5.0)
    try:
        await controlled.wait_for_state(state, timeout)
    except TimeoutError:
        return control_response({"error": f"Not {state} in time.", **controlled.describe()}, 408)
    return control_response(controlled.describe())


async def post_reset(request: web.Request) -> web.Response:
    """`POST /__mock__/reset`."""
    controlled = request.app[CONTROLLED_MOCK]
    await controlled.reset()
    return control_response(controlled.describe())


def _number(query: Mapping[str, str], name: str, default: float) -> float:
    try:
        number = float(query.get(name, default))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadControlRequest(f"'{name}' must be a number; got {query[name]!r}.")
    return number


def _refuse_unknown(query: Mapping[str, str], known: Sequence[str]) -> None:
    """A name with a slip of the pen would select nothing, so that all seem to match."""
    unknown = next((name for name in query if name not in known), None)
    if unknown is not None:
        raise BadControlRequest(f"Unknown field '{unknown}'; there are {', '.join(known)}.")


def read_filter(query: Mapping[str, str], more: Sequence[str] = ()) -> JournalFilter:
    """The filter of a query: ended, method, path, status, after (an id), probes (`false`: without those).

    The query may have `more` fields.
    """
    _refuse_unknown(query, (*_FILTER, *more))
    ended = query.get("ended")
    if ended is not None and ended not in list(ExchangeEnd):
        raise BadControlRequest(f"'ended' must be one of {', '.join(ExchangeEnd)}; got {ended!r}.")
    status = int(_number(query, "status", 0)) or None
    after = int(_number(query, "after", 0))
    probes = query.get("probes", "true")
    if probes not in ("true", "false"):
        raise BadControlRequest(f"'probes' must be true or false; got {probes!r}.")
    return JournalFilter(ended, query.get("method"), query.get("path"), status, after, probes == "true")


async def get_requests(request: web.Request) -> web.Response:
    """`GET /__mock__/requests`, with the filters of `read_filter`."""
    found = request.app[CONTROLLED_MOCK].journal.matching(read_filter(request.query))
    return control_response({"requests": [entry.as_json() for entry in found]})


async def delete_requests(request: web.Request) -> web.Response:
    """`DELETE /__mock__/requests`."""
    request.app[CONTROLLED_MOCK].journal.clear()
    return web.Response(status=204)


async def wait_requests(request: web.Request) -> web.Response:
    """`GET /__mock__/requests/wait?ended=aborted&count=1&timeout=5`, with the filters of `read_filter`."""
    journal, query = request.app[CONTROLLED_MOCK].journal, request.query
    wanted, count = read_filter(query, ("count", "timeout")), int(_number(query, "count", 1))
    timeout = _number(query, "timeout", 5.0)
    try:
        found = await journal.wait(wanted, count, timeout)
    except TimeoutError:
        matching = [entry.as_json() for entry in journal.matching(wanted)]
        came = journal.matching(JournalFilter(probes=wanted.probes))
        seen = [f"{entry.method} {entry.path}: {entry.how}" for entry in came]
        message = f"{len(matching)} of {count} {'request' if count == 1 else 'requests'} came within {timeout:g} s."
        return control_response({"error": message, "requests": matching, "received": seen}, 408)
    return control_response({"requests": [entry.as_json() for entry in found]})


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except BadControlRequest as error:
        return control_response({"error": str(error)}, 400)
    except web.HTTPException as error:
        return control_response({"error": f"{request.method} {request.path}: {error.reason}."}, error.status)


def create_control_app(controlled: ControlledMock, names: Iterable[str] = ()) -> web.Application:
    """The application of the control port, which answers to `localhost`, to addresses, and to these host names."""
    app = web.Application(middlewares=[refuse_pages, _explain])
    app[CONTROL_NAMES] = frozenset(name.lower() for name in ("localhost", *names))
    app[CONTROLLED_MOCK] = controlled
    app.add_routes(
        [
            web.get("/__mock__/state", get_state),
            web.put("/__mock__/state", put_state),
            web.get("/__mock__/state/wait", wait_state),
            web.post("/__mock__/reset", post_reset),
            web.get("/__mock__/requests", get_requests),
            web.delete("/__mock__/requests", delete_requests),
            web.get("/__mock__/requests/wait", wait_requests),
        ]
    )
    return app
