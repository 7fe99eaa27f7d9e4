"""Commands that ask a gateway which runs, and the same on its database."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.harness.processes.commands import read
from tests.harness.processes.gateway_process import GatewayProcess

Ask = Callable[..., Result]
Faces = tuple[Ask, Ask]  # on a database of its own; at the gateway


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the gateway's configuration and its database are."""
    place = tmp_path / "served"
    place.mkdir()
    return place


@pytest.fixture
def on_machine(folder: Path) -> Ask:
    """Commands on the gateway's own database."""

    def command(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(main, [*arguments, "--database", str(folder / "gateway.db")], input=stdin)

    return command


@pytest.fixture
def token(on_machine: Ask) -> str:
    """An admin token that may do everything."""
    on_machine("accounts", "add", "acme")
    return str(read(on_machine("tokens", "create", "--name", "all", "--scope", "*", "--json"))["token"])


@pytest.fixture
def gateway(folder: Path, token: str) -> Iterator[GatewayProcess]:
    config = folder / "gateway.yaml"
    config.write_text("server: {port: 0}\ndatabase: gateway.db\n")
    one = GatewayProcess(config).wait_until_serving()
    yield one
    one.stop()


@pytest.fixture
def url(gateway: GatewayProcess) -> str:
    return f"http://127.0.0.1:{gateway.port}"


@pytest.fixture
def ask(url: str, token: str) -> Ask:
    """Commands that ask the gateway, with the token or another."""

    def command(*arguments: str, stdin: str = "", token: str = token, server: str = url) -> Result:
        given = [*arguments, "--server", server]
        result = CliRunner().invoke(main, given, input=stdin, env={"GGUF_GATEWAY_TOKEN": token})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return command


@pytest.fixture
def faces(ask: Ask, tmp_path: Path) -> Faces:
    """The same commands by both ways, each on a database that holds the account `acme` and the admin token."""
    place = ("--database", str(tmp_path / "own.db"))

    def command(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(main, [*arguments, *place], input=stdin)

    command("accounts", "add", "acme")
    command("tokens", "create", "--name", "all", "--scope", "*")
    return command, ask
