"""`--server`: every way in which a gateway cannot be asked is one plain sentence, and no secret is in it."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result

from gateway.cli import main
from mockserver import MockLlamaServer
from tests.harness.processes.commands import read
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import says
from tests.unit.gateway.cli.remote.conftest import Ask

TOKEN = "gwa_CANARY" + "0" * 40
LIST = ("accounts", "list")


def run(*arguments: str, token: str = TOKEN, stdin: str = "") -> Result:
    result = CliRunner().invoke(main, arguments, input=stdin, env={"GGUF_GATEWAY_TOKEN": token})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "CANARY" not in result.output
    return result


@pytest.fixture
def stranger() -> Iterator[ScriptedUpstream]:
    with closing(ScriptedUpstream()) as one:
        yield one


def test_where_nobody_listens_the_url_is_named() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        refused = run(*LIST, "--server", url)
    assert (refused.exit_code, refused.stderr) == (1, f"No gateway answers at {url} (connection refused).\n")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("200 OK\r\nContent-Length: 5\r\n\r\n<html", "What answers at PLACE (with 200) is not a gateway's admin API."),
        (
            "404 Not Found\r\nContent-Length: 2\r\n\r\n[]",
            "What answers at PLACE (with 404) is not a gateway's admin API.",
        ),
        (
            "302 Found\r\nLocation: https://login.example/\r\nContent-Length: 0\r\n\r\n",
            "PLACE redirects to https://login.example/: name the gateway's own URL.",
        ),
        (
            "502 Bad Gateway\r\nContent-Length: 5\r\n\r\n<html",
            "No gateway answers at PLACE: a server in front of it says so (502).",
        ),
        ("garbage", "What answers at PLACE is not a gateway."),
    ],
)
def test_what_is_no_gateway_is_said_to_be_none(answer: str, said: str, stranger: ScriptedUpstream) -> None:
    with stranger.playing(says(f"HTTP/1.1 {answer}".encode() if answer != "garbage" else b"garbage\r\n\r\n")):
        refused = run(*LIST, "--server", stranger.url)
    assert (refused.exit_code, refused.stderr) == (1, said.replace("PLACE", stranger.url) + "\n")


def test_a_model_server_is_said_to_be_no_gateway() -> None:
    with MockLlamaServer() as server:
        refused = run(*LIST, "--server", server.url)
    said = f"What answers at {server.url} (with 404) is not a gateway's admin API.\n"
    assert (refused.exit_code, refused.stderr) == (1, said)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "Which admin token? Set the variable GGUF_GATEWAY_TOKEN, or give --token-stdin."),
        ("gw_CANARY_secret_0123456789", "This is no admin token, which begins with gwa_: `gguf-gateway tokens create`"),
        ("gwa_CANARY x", "This is no admin token"),
        ("gwa_CANARY\r\nX-Evil: 1", "This is no admin token"),
    ],
)
def test_what_is_no_token_is_sent_to_nobody(token: str, said: str, stranger: ScriptedUpstream) -> None:
    refused = run(*LIST, "--server", stranger.url, token=token)
    assert (refused.exit_code, refused.stderr.startswith(said)) == (1, True), refused.stderr
    assert not stranger.requests


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--server", "http://gateway.example"], "Over http:// everyone on the way could read the token"),
        (["--server", "gateway.example"], "must be a gateway's URL, like http://127.0.0.1:8080"),
        (["--server", "http://u:CANARY@h"], "must be a gateway's URL"),
        (["--server", "http://127.0.0.1", "--database", "x.db"], "Give either --database or --server, not both."),
        (["--database", "x.db", "--token-stdin"], "--token-stdin and --insecure-http belong to --server."),
        ([], "Which registry? Give --config FILE or --database FILE, or --server URL."),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str], said: str) -> None:
    refused = run(*LIST, *arguments)
    assert refused.exit_code == 2
    assert said in refused.stderr


def test_no_command_takes_the_token_as_an_argument() -> None:
    assert run(*LIST, "--server", "http://127.0.0.1", "--token", "x").exit_code == 2


def test_an_import_is_done_on_the_machine(config: Path) -> None:
    refused = run("import", str(config), "--server", "http://127.0.0.1")
    assert (refused.exit_code, "No such option" in refused.stderr) == (2, True)


@pytest.mark.slow
def test_a_token_that_ended_and_a_scope_that_lacks_are_said(ask: Ask, on_machine: Ask) -> None:
    made = read(on_machine("tokens", "create", "--name", "reads", "--scope", "accounts:read", "--json"))
    refused = ask("accounts", "add", "beta", token=made["token"])
    assert (refused.exit_code, refused.stderr) == (1, "The token lacks the scope accounts:write.\n")
    on_machine("tokens", "revoke", made["id"])
    for ended in (made["token"], TOKEN):
        refused = ask("accounts", "add", "beta", token=ended)
        assert (refused.exit_code, refused.stderr) == (
            1,
            "The gateway does not take this admin token: it is unknown, expired or revoked.\n",
        )
    given = CliRunner().invoke(main, ["accounts", "add", "beta", "--token-stdin", "--server", "x"], input=TOKEN)
    assert given.exit_code == 2


@pytest.mark.slow
def test_the_token_comes_from_standard_input_too(url: str, token: str) -> None:
    said = CliRunner().invoke(main, [*LIST, "--token-stdin", "--server", f"{url}/"], input=f"{token}\n")
    assert (said.exit_code, said.stdout.splitlines()[1].split()[0]) == (0, "acme")


@pytest.mark.slow
def test_a_url_below_which_there_is_no_admin_api_is_said(ask: Ask, url: str) -> None:
    refused = ask(*LIST, server=f"{url}/team")
    assert refused.stderr == (
        f"{url}/team serves no admin API; the gateway's own URL, or that of its server.admin, does.\n"
    )


@pytest.mark.slow
def test_tls_that_is_none_or_nobody_vouches_for_is_said(ask: Ask, url: str, tmp_path: Path) -> None:
    plain = url.replace("http://", "https://")
    assert ask(*LIST, server=plain).stderr == f"What answers at {plain} does not speak TLS as it should.\n"
    with tls_server() as secure:
        refused = ask(*LIST, server=secure)
    assert refused.stderr.startswith(f"The certificate of {secure} is not one to trust: ")
    assert refused.stderr.endswith("The variable SSL_CERT_FILE names authorities of your own.\n")


@contextmanager
def tls_server() -> Iterator[str]:
    """Something that speaks TLS, with a certificate of an authority that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                context.wrap_socket(listener.accept()[0], server_side=True)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    thread.join()
