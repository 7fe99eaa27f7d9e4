"""A gateway and mock llama-servers on this machine, for tests and scripts: `with Sandbox() as sandbox:`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Literal, Self, Unpack

from mockserver.sandbox.deployment import Deployment
from mockserver.sandbox.gateway_process import GatewayProcess
from mockserver.server.mock_server import MockLlamaServer
from mockserver.server.option_keywords import OptionKeywords

EndpointGroupName = Literal["openai", "anthropic", "native"]
KEY = "gw_sandbox_key_for_tests"
_LINES_SHOWN = 20
# By group, the endpoint that shows whether the gateway lets requests through.
_ASKED: Mapping[str, str] = {"openai": "/v1/completions", "anthropic": "/v1/messages", "native": "/completion"}
_ACCOUNT = "sandbox"
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")  # whose pages may call the sandbox's deployments
_SERVER: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 0,
    "timeouts": {"drain": 0},
    "probes": {"interval": 0.5},
    "log": {"format": "json"},
    "cors_origins": [f"{scheme}://{host}:*" for scheme in ("http", "https") for host in _LOOPBACK],
}


class Sandbox:
    """A real gateway, in a process of its own, before mocks in threads of this one.

    `deployments` names the mocks: `Sandbox({"slow": MockLlamaServer(tokens_per_second=5)})`.
    Without it there is one deployment, `demo`, and `mock_options` are its mock's; embeddings and reranking are on.
    `key` opens all of them. `server` adds to the `server:` section of the gateway's configuration; `endpoints` are the
    groups that every deployment enables, where the gateway's own two are not the right ones.
    Usable from any thread; outside its `with` block what needs the gateway raises GatewayError, and what needs a mock
    RuntimeError.
    """

    def __init__(
        self,
        deployments: Mapping[str, MockLlamaServer] | None = None,
        *,
        key: str = KEY,
        server: Mapping[str, Any] | None = None,
        endpoints: Sequence[EndpointGroupName] | None = None,
        **mock_options: Unpack[OptionKeywords],
    ) -> None:
        if deployments is not None and mock_options:
            raise TypeError("Give mock options to the MockLlamaServers of `deployments`, not to the Sandbox.")
        _check(deployments, endpoints)
        self.key = key
        self._mocks = dict(deployments) if deployments is not None else {"demo": _default_mock(mock_options)}
        self._server = _merged(_SERVER, server or {})
        self._endpoints = {"endpoints": list(endpoints)} if endpoints is not None else {}
        self._asked = _ASKED[next(iter(endpoints or ("openai",)))]
        self._statuses = dict.fromkeys(self._mocks, "auto")
        self._upstreams: dict[str, str] = {}
        self._deployments: dict[str, Deployment] = {}
        self._gateway = GatewayProcess()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name, mock in self._mocks.items():
                background = stack.enter_context(mock)
                self._upstreams[name] = background.url
                self._deployments[name] = Deployment(name, background, self)
            stack.callback(self._gateway.stop)
            self._gateway.start(self._configuration())
            for deployment in self:
                if deployment.mock.state == "ready":
                    deployment.wait_until_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # --- what it offers

    @property
    def url(self) -> str:
        """Where the gateway listens, e.g. `http://127.0.0.1:41234`: `/readyz` and the like are below it."""
        return self._gateway.url

    def deployment(self, name: str | None = None) -> Deployment:
        """The deployment of this name; without a name, the first. Raises KeyError."""
        return self[next(iter(self._deployments), "") if name is None else name]

    def __getitem__(self, name: str) -> Deployment:
        if name not in self._deployments:
            self._gateway.require_alive()
            raise KeyError(f"no deployment {name!r} in this sandbox, only {', '.join(self._deployments) or 'none'}")
        return self._deployments[name]

    def __iter__(self) -> Iterator[Deployment]:
        return iter(list(self._deployments.values()))

    @property
    def log(self) -> list[str]:
        """The lines of the gateway's log since the last reset, at most 1000, without the sandbox's own questions."""
        self._gateway.read_log_to_end()
        return list(self._gateway.log.lines)

    @property
    def gateway_pid(self) -> int:
        """Process id of the gateway."""
        return self._gateway.pid

    def reset(self) -> None:
        """Make every deployment ready and forget all requests. Raises GatewayError if the gateway has died."""
        self._gateway.require_alive()
        for deployment in self:
            deployment.reset()
        self._gateway.read_log_to_end()
        self._gateway.log.forget()

    def report(self) -> str:
        """What was received and how the gateway logged it since the last reset, for a test that failed."""
        received = [deployment.received() for deployment in self]
        lines = [f"  {line}" for line in self.log[-_LINES_SHOWN:]]
        return "\n".join([*received, "the gateway's log ends:" if lines else "the gateway logged nothing.", *lines])

    def __repr__(self) -> str:
        return f"<Sandbox {self.url or 'not started'}: {', '.join(self._mocks)}>"

    # --- what its deployments steer it by

    def status(self, name: str) -> str:
        """What the gateway's registry says of a deployment: auto, deploying, ready or paused."""
        return self._statuses[name]

    def set_status(self, name: str, status: str, *, wait: bool = True) -> None:
        """Change what the registry says; returns when the gateway goes by it, unless `wait` is false."""
        self._statuses[name] = status
        self._gateway.configure(self._configuration(), wait=wait)

    def answer_to_empty_request(self, name: str) -> int:
        """The status with which the gateway answers a request with no body, which never reaches the mock."""
        return self._gateway.ask("POST", f"/api/gguf/{name}{self._asked}", self.key)

    def _configuration(self) -> dict[str, Any]:
        return {
            "server": self._server,
            "accounts": {_ACCOUNT: {"keys": [{"name": "tests", "key": self.key}]}},
            "deployments": {
                name: {"account": _ACCOUNT, "upstream": upstream, "status": self._statuses[name], **self._endpoints}
                for name, upstream in self._upstreams.items()
            },
        }


def _check(deployments: Any, endpoints: Any) -> None:
    """Raise TypeError or ValueError for what can be neither; type checkers say so before."""
    if deployments is not None and not isinstance(deployments, Mapping):
        raise TypeError("'deployments' is a mapping: a MockLlamaServer for each name.")
    for name, mock in (deployments or {}).items():
        if not isinstance(mock, MockLlamaServer):
            raise TypeError(f"The deployment {name!r} is a MockLlamaServer(...), not a {type(mock).__name__}.")
    if isinstance(endpoints, str) or not set(endpoints or ()) <= set(_ASKED):
        raise ValueError(f"'endpoints' is a list of {', '.join(_ASKED)}; got {endpoints!r}.")


def _default_mock(options: OptionKeywords) -> MockLlamaServer:
    defaults: OptionKeywords = {"embeddings": True, "reranking": True}
    return MockLlamaServer(**(defaults | options))


def _merged(ours: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`ours` with the fields of `given` put over it, sections merged; host, port and log stay ours."""
    merged = {
        name: {**ours.get(name, {}), **value} if isinstance(value, Mapping) else value for name, value in given.items()
    }
    return {**ours, **merged, **{name: ours[name] for name in ("host", "port", "log")}}
