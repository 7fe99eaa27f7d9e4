"""`deployments list` beside a gateway that runs, and where none does."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli.registry.live_readiness import url_of
from gateway.config.server_settings import Server
from gateway.config.settings import server_with
from tests.harness.patience import wait_until
from tests.harness.processes.commands import CommandProcess
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import says

pytestmark = pytest.mark.slow  # each command is a process: `make test-tools` runs them

LIST = ("deployments", "list")
DATABASE = "database: sqlite+aiosqlite:///gateway.db\n"


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with closing(ScriptedUpstream()) as one:
        yield one


@pytest.fixture
def filled(command: CommandProcess, upstream: ScriptedUpstream) -> CommandProcess:
    """Commands on a database with a deployment that will be ready, one that will not, and one that is paused."""
    add, account = ("deployments", "add"), ("--account", "acme", "--create-account")
    command.says(*add, "up", *account, "--upstream", upstream.url)
    command.says(*add, "away", *account, "--upstream", "unix:/nowhere/llama.sock")
    command.says(*add, "resting", *account, "--upstream", upstream.url, "--status", "paused")
    return command


@pytest.fixture
def gateway(filled: CommandProcess, tmp_path: Path) -> Iterator[GatewayProcess]:
    config = tmp_path / "served.yaml"
    config.write_text("server: {port: 0}\n" + DATABASE)
    one = GatewayProcess(config).wait_until_serving()
    yield one
    one.stop()


def configured(command: CommandProcess, server: str) -> None:
    """From here on, commands find the database by a configuration with this `server` section."""
    path = Path(command.place[1]).with_name("gateway.yaml")
    path.write_text(f"server: {{{server}}}\n{DATABASE}")
    command.place = ("--config", str(path))


def readiness(command: CommandProcess) -> dict[str, str | None]:
    return {one["id"]: one["readiness"] for one in command.reads(*LIST)}


def test_the_list_shows_what_clients_meet_now(filled: CommandProcess, gateway: GatewayProcess) -> None:
    configured(filled, f"port: {gateway.port}")
    wait_until(lambda: readiness(filled) == {"up": "ready", "away": "deploying", "resting": "paused"})
    done = filled(*LIST)
    assert done.stderr == ""
    assert [line.split()[:4] for line in done.stdout.splitlines()] == [
        ["ID", "ACCOUNT", "STATUS", "READINESS"],
        ["away", "acme", "auto", "deploying"],
        ["resting", "acme", "paused", "paused"],
        ["up", "acme", "auto", "ready"],
    ]


def test_a_gateway_can_be_named_beside_the_database(filled: CommandProcess, gateway: GatewayProcess) -> None:
    asked = (*LIST, "--gateway", f"http://127.0.0.1:{gateway.port}/")
    wait_until(lambda: "ready" in filled.says(*asked).splitlines()[3].split())
    assert filled(*LIST).stderr == (
        "Readiness is not known: --config FILE or --gateway URL would say which gateway to ask.\n"
    )


def test_a_gateway_that_serves_something_else_is_said_to(filled: CommandProcess, gateway: GatewayProcess) -> None:
    other = gateway.config.with_name("other.yaml")
    other.write_text(
        f"server: {{port: {gateway.port}}}\naccounts: {{acme: {{}}}}\n"
        'deployments: {strange: {account: acme, upstream: "http://h:1"}}\n'
    )
    filled.place = ("--config", str(other))
    done = filled(*LIST)
    assert done.stdout.splitlines()[1].split()[:4] == ["strange", "acme", "auto", "-"]
    assert done.stderr == "The gateway that answers does not serve strange (yet).\n"


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("port: 0", "server.port is 0, so name the gateway by --gateway URL."),
        ("metrics: off", "server.metrics is off."),
        ("port: CLOSED", "no gateway answers at http://127.0.0.1:CLOSED (connection refused)."),
        ("port: SILENT", "no gateway answers at http://127.0.0.1:SILENT (no answer)."),
        ("port: STRANGE", "what answers at http://127.0.0.1:STRANGE is not a gateway's /metrics."),
    ],
)
def test_where_no_gateway_answers_there_is_a_dash_and_a_line(
    server: str, said: str, filled: CommandProcess, upstream: ScriptedUpstream
) -> None:
    strange = says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{no}\n")
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.socket() as closed,
        upstream.playing(strange),
    ):
        closed.bind(("127.0.0.1", 0))
        ports = {"SILENT": silent.getsockname()[1], "CLOSED": closed.getsockname()[1]}
        ports["STRANGE"] = int(upstream.url.rpartition(":")[2])
        for word, port in ports.items():
            server, said = server.replace(word, str(port)), said.replace(word, str(port))
        configured(filled, server)
        done = filled(*LIST)
        assert readiness(filled) == {"up": None, "away": None, "resting": None}
    assert (done.returncode, done.stderr) == (0, f"Readiness is not known: {said}\n")
    assert [line.split()[3] for line in done.stdout.splitlines()[1:]] == ["-", "-", "-"]


def test_a_gateway_that_hides_its_metrics_is_said_to(filled: CommandProcess, tmp_path: Path) -> None:
    config = tmp_path / "hiding.yaml"
    config.write_text("server: {port: 0, metrics: off}\n" + DATABASE)
    gateway = GatewayProcess(config).wait_until_serving()
    url = f"http://127.0.0.1:{gateway.port}"
    try:
        done = filled(*LIST, "--gateway", url)
    finally:
        gateway.stop()
    assert done.stderr == f"Readiness is not known: {url} does not show /metrics here (see server.metrics).\n"


def test_an_empty_list_asks_nobody(command: CommandProcess) -> None:
    command.says("accounts", "add", "acme")
    configured(command, "port: 1")
    assert command(*LIST).stderr == "There is no deployment.\n"


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "ftp://h", "http://", "http://u:CANARY@h", "http://h:x", "http://[h"]
)
def test_what_is_nourl_of_a_gateway_is_a_usage_error(url: str, command: CommandProcess) -> None:
    done = command(*LIST, "--gateway", url)
    assert (done.returncode, done.stdout) == (2, "")
    assert "must be a gateway's URL, like http://127.0.0.1:8080" in done.stderr
    assert "CANARY" not in done.stderr


def test_the_limits_listed_are_those_of_the_configured_server(filled: CommandProcess) -> None:
    configured(filled, "port: 0, timeouts: {first_byte: 20}, limits: {connections: 3}")
    first = filled.reads(*LIST)[0]
    assert (first["timeouts"]["first_byte"], first["limits"]["connections"]) == (20.0, 3)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("[::1]", "http://[::1]:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_a_gateway_is_asked_where_this_machine_reaches_it(host: str, url: str) -> None:
    assert url_of(server_with(Server(), host=host, port=80)) == url
