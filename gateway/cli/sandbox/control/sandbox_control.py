"""The control URL of a sandbox: what its deployments play, by HTTP requests from any language.

Below `/{deployment_id}/` lies the control API of that deployment's mock, passed on as it is. Where a mock changes its
state, the gateway's registry follows: paused is 503 and not a closed port.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from aiohttp import ClientSession, ClientTimeout, hdrs, web
from aiohttp.typedefs import Handler

from gateway.cli.sandbox.control.status_file import StatusFile
from gateway.cli.sandbox.control.steering import Steering
from gateway.cli.sandbox.file_follower import FileFollower
from gateway.cli.sandbox.loopback_guard import refuse_pages
from gateway.cli.sandbox.mock_process import MockProcess
from gateway.core.deployment import Status
from gateway.proxy.upstream.health.readiness import READINESS
from gateway.registry.base import Registry
from gateway.server.app import NOTIFIER
from gateway.server.process.listen_address import ListenError, why_not

_HOST = "127.0.0.1"
_ENDED_SECONDS = 0.1  # for a wait that is under way when the sandbox ends
_FOREVER = ClientTimeout(total=None)


class SandboxControl:
    """Serves the control URL while the gateway serves. `sandbox` is what `GET /` tells, once that is known."""

    def __init__(
        self, port: int, mocks: Iterable[MockProcess], registry: Registry, file: StatusFile, follower: FileFollower
    ) -> None:
        self.url = ""
        self.sandbox: dict[str, Any] = {}
        self._port = port
        self._mocks = {mock.name: mock for mock in mocks}
        self._registry = registry
        self._file = file
        self._follower = follower
        self._statuses: dict[str, Status] = {}
        self._tasks = set[asyncio.Task[None]]()
        self._steering: Steering

    def add_to(self, gateway: web.Application) -> None:
        """Begin and end with the gateway."""
        gateway.cleanup_ctx.append(self._context)

    async def _context(self, gateway: web.Application) -> AsyncIterator[None]:
        self._steering = Steering(self._registry, self._file, self._follower, gateway[READINESS], gateway[NOTIFIER])
        runner = web.AppRunner(self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=_ENDED_SECONDS)
        async with ClientSession(timeout=_FOREVER) as self._steering.session:
            await self._listen(runner)
            self._registry.listeners.append(self._follow)
            self._follow()
            yield
            self._registry.listeners.remove(self._follow)
            for task in self._tasks:
                task.cancel()
            await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[refuse_pages, _explain])
        app.router.add_get("/", self.describe)
        app.router.add_get("/{deployment_id}/__mock__/state", self.get_state)
        app.router.add_put("/{deployment_id}/__mock__/state", self.put_state)
        app.router.add_get("/{deployment_id}/__mock__/state/wait", self.wait_state)
        app.router.add_post("/{deployment_id}/__mock__/reset", self.post_reset)
        app.router.add_route(hdrs.METH_ANY, "/{deployment_id}/__mock__/{rest:.+}", self.pass_on)
        return app

    async def _listen(self, runner: web.AppRunner) -> None:
        await runner.setup()
        try:
            await web.TCPSite(runner, _HOST, self._port).start()
        except OSError as error:
            await runner.cleanup()
            raise ListenError(why_not(error, _HOST, self._port, "--control-port")) from error
        self.url = f"http://{_HOST}:{runner.addresses[0][1]}"

    # --- requests

    async def describe(self, _request: web.Request) -> web.Response:
        """`GET /`: the URLs, the key and the deployments."""
        return web.json_response(self.sandbox)

    async def get_state(self, request: web.Request) -> web.Response:
        """`GET .../state`: the mock's, with the gateway's `status` and `readiness` of the deployment."""
        return await self._steering.state(self._mock_of(request))

    async def put_state(self, request: web.Request) -> web.Response:
        """`PUT .../state`: answers when a client of the gateway meets it."""
        mock, written = self._mock_of(request), await request.read()
        try:
            body = json.loads(written)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return await self._steering.ask(mock, "PUT", "state", written)  # which says what is wrong with it
        if "exit_code" in body:
            raise web.HTTPBadRequest(reason="'exit_code' would end the mock, which a sandbox starts only once")
        return await self._steering.play(mock, str(body.get("state")), written)

    async def wait_state(self, request: web.Request) -> web.Response:
        """`GET .../state/wait?state=ready&timeout=5`."""
        mock, query = self._mock_of(request), request.rel_url
        return await self._steering.wait_for_state(mock, query.query.get("state", ""), query.raw_query_string)

    async def post_reset(self, request: web.Request) -> web.Response:
        """`POST .../reset`: what every test begins with."""
        return await self._steering.reset(self._mock_of(request))

    async def pass_on(self, request: web.Request) -> web.Response:
        """Everything else is the mock's own."""
        mock, path = self._mock_of(request), request.rel_url.raw_path_qs.partition("/__mock__/")[2]
        return await self._steering.ask(mock, request.method, path, await request.read())

    def _mock_of(self, request: web.Request) -> MockProcess:
        mock = self._mocks.get(request.match_info["deployment_id"])
        if mock is None:
            raise web.HTTPNotFound(reason=f"The deployments with a mock are {', '.join(self._mocks) or 'none'}")
        return mock

    def _follow(self) -> None:
        """The registry has changed. A deployment that was resumed in the file has a mock that must resume, too."""
        for name, mock in self._mocks.items():
            status = self._steering.status(name)
            if self._statuses.get(name) is Status.PAUSED and status is not Status.PAUSED:
                task = asyncio.create_task(self._steering.follow_resumed(mock))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            self._statuses[name] = status


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as the mock's control port tells them."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        where = f"{request.method} {request.path}: " if request.match_info.http_exception is not None else ""
        return web.json_response({"error": f"{where}{error.reason}."}, status=error.status)
