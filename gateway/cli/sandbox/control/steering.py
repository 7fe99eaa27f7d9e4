"""What the control URL does: a mock plays a state, and the gateway's registry says what goes with it."""

import asyncio
import contextlib
import json
from collections import defaultdict

from aiohttp import ClientError, ClientSession, hdrs, web

from gateway.cli.sandbox.control.status_file import StatusFile, StatusFileError
from gateway.cli.sandbox.file_follower import FileFollower
from gateway.cli.sandbox.mock_process import MockProcess
from gateway.core.deployment import Status
from gateway.core.notifier import Notifier
from gateway.proxy.upstream.health.readiness import Readiness
from gateway.registry.base import Registry

_READY_SECONDS = 10.0
_OF_ITSELF = frozenset({"restarting", "crashed", "hung", "sleeping", "waking"})  # the registry says ready meanwhile
_HELD_BACK = (Status.PAUSED, Status.DEPLOYING)
_OK = web.HTTPOk.status_code


class Steering:
    """Changes that are true at the gateway when their coroutine returns. All raise web.HTTPException, with a reason."""

    def __init__(
        self, registry: Registry, file: StatusFile, follower: FileFollower, readiness: Readiness, notifier: Notifier
    ) -> None:
        self.session: ClientSession | None = None
        self._registry, self._file, self._follower = registry, file, follower
        self._readiness, self._notifier = readiness, notifier
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def play(self, mock: MockProcess, wanted: str, written: bytes) -> web.Response:
        """Play the state `wanted`, as the body `written` for the mock says it. Returns the mock's answer."""
        async with self._locks[mock.name]:
            before = self.status(mock.name)
            if wanted in _HELD_BACK:
                return await self._hold_back(mock, Status(wanted), before, written)
            if wanted in _OF_ITSELF and before in _HELD_BACK:
                await self.ask(mock, "PUT", "state", b'{"state": "ready"}')
                await self._let_through(mock)
            answer = await self.ask(mock, "PUT", "state", written)
            if wanted == Status.READY and answer.status == _OK:
                await self._let_through(mock)
            return self._told(mock, answer)

    async def reset(self, mock: MockProcess) -> web.Response:
        """Make of it what a test begins with: ready, nothing received, nothing wrong."""
        async with self._locks[mock.name]:
            answer = await self.ask(mock, "POST", "reset")
            await self._let_through(mock)
            return self._told(mock, answer)

    async def state(self, mock: MockProcess) -> web.Response:
        """The mock's state, with the gateway's `status` and `readiness` of the deployment."""
        return self._told(mock, await self.ask(mock, "GET", "state"))

    async def wait_for_state(self, mock: MockProcess, wanted: str, query: str) -> web.Response:
        """Return once the mock plays the state; if that is `ready`, once the gateway lets requests through to it."""
        answer = await self.ask(mock, "GET", f"state/wait?{query}")
        if wanted == Status.READY and answer.status == _OK:
            await self._wait_until_ready(mock.name)
        return self._told(mock, answer)

    async def follow_resumed(self, mock: MockProcess) -> None:
        """Resume the mock of a deployment that was resumed in the file."""
        async with self._locks[mock.name]:
            with contextlib.suppress(web.HTTPBadGateway):  # a mock that is gone
                answer = await self.ask(mock, "GET", "state")
                if _object(answer).get("state") == Status.PAUSED and self.status(mock.name) is not Status.PAUSED:
                    await self.ask(mock, "PUT", "state", b'{"state": "ready"}')

    def status(self, name: str) -> Status:
        """What the registry says of a deployment."""
        deployment = self._registry.snapshot.deployments.get(name)
        return Status.AUTO if deployment is None else deployment.status

    async def ask(self, mock: MockProcess, method: str, path: str, body: bytes = b"") -> web.Response:
        """What the mock's own control port answers."""
        if self.session is None:
            raise web.HTTPServiceUnavailable(reason="The sandbox is starting")
        try:
            async with self.session.request(method, f"{mock.control_url}/__mock__/{path}", data=body) as answer:
                content = {hdrs.CONTENT_TYPE: answer.headers.get(hdrs.CONTENT_TYPE, "text/plain")}
                return web.Response(status=answer.status, body=await answer.read(), headers=content)
        except ClientError as error:
            raise web.HTTPBadGateway(reason=f"The mock of {mock.name} is gone; start the sandbox again") from error

    async def _hold_back(self, mock: MockProcess, wanted: Status, before: Status, written: bytes) -> web.Response:
        """The registry says it first: no client may meet the closed port instead."""
        await self._set_status(mock.name, wanted)
        answer = await self.ask(mock, "PUT", "state", written)
        if answer.status != _OK:  # a duration that is none, say: all is as it was
            await self._set_status(mock.name, before)
            if before is Status.AUTO and _object(await self.ask(mock, "GET", "state")).get("state") == Status.READY:
                await self._wait_until_ready(mock.name)
        elif wanted is Status.DEPLOYING:
            await self._set_status(mock.name, Status.AUTO)  # ready by itself, once it has loaded
        return self._told(mock, answer)

    async def _let_through(self, mock: MockProcess) -> None:
        """Return once the gateway lets requests through to a mock that is ready."""
        if self.status(mock.name) in _HELD_BACK:
            await self._set_status(mock.name, Status.AUTO)
        await self._wait_until_ready(mock.name)

    async def _wait_until_ready(self, name: str) -> None:
        self._readiness.doubt(name)
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not self._is_ready(name):
                    await self._notifier.wait()
        except TimeoutError:
            seen = self._readiness.health(name).seen or "nothing"
            raise web.HTTPRequestTimeout(reason=f"Not ready after {_READY_SECONDS:g} s: its probe saw {seen}") from None

    async def _set_status(self, name: str, status: Status) -> None:
        """Write it to the configuration file, and return once the registry has read that."""
        if self.status(name) is status:
            return
        try:
            await asyncio.to_thread(self._file.set_status, name, status)
            self._follower.look_soon()
            async with asyncio.timeout(_READY_SECONDS):
                while self.status(name) is not status:
                    await self._notifier.wait()
        except StatusFileError as error:
            raise web.HTTPConflict(reason=str(error)) from error
        except TimeoutError:
            raise web.HTTPRequestTimeout(reason="The gateway did not take the changed configuration") from None

    def _is_ready(self, name: str) -> bool:
        deployment = self._registry.snapshot.deployments.get(name)
        is_ready = deployment is not None and self._readiness.status(deployment) is Status.READY
        return is_ready and self._readiness.health(name).seen == "ok"

    def _told(self, mock: MockProcess, answer: web.Response) -> web.Response:
        """The mock's answer about its state, with what the gateway says of the deployment."""
        deployment = self._registry.snapshot.deployments.get(mock.name)
        if answer.status != _OK or deployment is None:
            return answer
        readiness = self._readiness.status(deployment)
        return web.json_response({**_object(answer), "status": deployment.status, "readiness": readiness})


def _object(answer: web.Response) -> dict[str, object]:
    found: dict[str, object] = json.loads(answer.body) if isinstance(answer.body, bytes) else {}
    return found
