"""`gguf-gateway contract`: the contract's table, and whether a gateway keeps it."""

import asyncio
import os
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

import aiohttp
import click

from gateway.cli.contract.conformance import Check, Finding, play, refuses_the_key, rows
from gateway.cli.output import as_json, console_for, print_json, print_table, say
from gateway.cli.secret import read_secret
from gateway.core import errors

# How type and message are sent.
_SHAPES = (
    'The body is {"error": {"type": ..., "message": ...}}.',
    "On /v1/messages, if server.anthropic_errors is true, it is",
    '{"type": "error", "error": {"type": ..., "message": ...}}.',
)
_COLUMNS = ("row", "", "found")


def _base_url(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """A deployment's base URL without a slash at its end, nor the `/v1` that OpenAI's SDK adds."""
    if value is None:
        return None
    url = value.rstrip("/").removesuffix("/v1")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or len(parts.path) < 2:
        raise click.BadParameter("must be a deployment's base URL, like http://127.0.0.1:8080/api/gguf/demo")
    return url


@click.command()
@click.option(
    "--check", "base_url", metavar="BASE_URL", callback=_base_url, help="Base URL of a deployment that is ready."
)
@click.option("--key-env", metavar="NAME", help="Environment variable that holds the key; else standard input does.")
@click.option("--deploying", metavar="BASE_URL", callback=_base_url, help="One that is deploying: checks its 503.")
@click.option("--paused", metavar="BASE_URL", callback=_base_url, help="One that is paused: checks its 503.")
@click.option("--restarting", metavar="BASE_URL", callback=_base_url, help="One whose llama-server is away: the 502.")
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="Seconds for an answer."
)
@as_json
def contract(base_url: str | None, key_env: str | None, timeout: float, as_json: bool, **in_state: str | None) -> None:
    """Print the contract, or check which of its rows a gateway keeps. Exit code 1 if one does not hold.

    Asks for a few tokens of the model. Works with any gateway that keeps the same contract.
    """
    if base_url is None:
        _print_contract(as_json)
        return
    states = {state: url for state, url in in_state.items() if url is not None}
    try:
        findings = asyncio.run(_play(rows(base_url, _key(key_env), states), timeout))
    except aiohttp.ClientConnectorError as error:
        raise click.ClickException(f"No connection to {error.host}:{error.port}: {_why(error)}.") from error
    if refuses_the_key(findings):
        click.echo("The gateway refuses this key (401), so most rows cannot hold.", err=True)
    broken = [finding for finding in findings if finding.wrong]
    if as_json:
        shown = [{"row": one.name, "holds": not one.wrong, "found": one.wrong} for one in findings]
        print_json({"base_url": base_url, "holds": not broken, "rows": shown})
    else:
        cells = [(one.name, "broken" if one.wrong else "holds", one.wrong) for one in findings]
        print_table(_COLUMNS, cells, empty="")
        say(f"{len(findings) - len(broken)} of {len(findings)} rows hold.")
    sys.exit(1 if broken else 0)


def _why(error: aiohttp.ClientConnectorError) -> str:
    """Why there is no connection, in a few words."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name does not resolve"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({getattr(error.certificate_error, 'verify_message', 'unreadable')})"
    if isinstance(error, aiohttp.ClientSSLError):
        return f"TLS failed ({getattr(error.os_error, 'reason', None) or 'no handshake'})"
    return os.strerror(error.errno) if error.errno else "the address cannot be used"


def _key(variable: str | None) -> str:
    """The key, from one place. What a header cannot hold is not a key."""
    if variable is not None and not os.environ.get(variable):
        raise click.UsageError(f"The environment variable {variable} is not set.")
    key = os.environ[variable] if variable is not None else read_secret("Key")
    if not (key.isascii() and key.isprintable() and key.strip()):
        raise click.UsageError("Not a valid key: it is empty, or has characters not allowed in a header.")
    return key.strip()


async def _play(checks: Sequence[Check], timeout: float) -> list[Finding]:
    """All findings; on a terminal with a bar, since a gateway may be far away."""
    from rich.progress import Progress

    console = console_for(sys.stderr)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Asking", total=len(checks))
        findings = []
        async for finding in play(checks, timeout):
            findings.append(finding)
            progress.advance(task)
        return findings


def _print_contract(as_json: bool) -> None:
    every = (*errors.CONTRACT, *errors.FURTHER)
    if as_json:
        shown = [(row.reason, row.status, row.type, row.message, dict(row.headers)) for row in every]
        print_json([dict(zip(("reason", "status", "type", "message", "headers"), one, strict=True)) for one in shown])
        return
    stated = {errors.DEPLOYING.reason, errors.PAUSED.reason}  # whose reason is the status that the message names
    details = [row.reason if row.reason in stated else "…" for row in every]
    cells = [(str(row.status), row.type, row.message.format(detail=it)) for row, it in zip(every, details, strict=True)]
    print_table(("status", "type", "message"), cells, empty="")
    for sentence in ("", *_SHAPES):
        say(sentence)
