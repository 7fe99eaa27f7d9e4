"""The command line. A command's module is imported when the command runs, and not for `--help`."""

import errno
import gc
import os
import signal
import sys
from importlib import import_module
from typing import Any

import click

from gateway import __version__
from gateway.cli.output import OutputError, replace_what_cannot_be_encoded
from gateway.config.document import SourceError
from gateway.registry.base import ChangeError

# name: (where its click command lives, what `--help` says of it)
_COMMANDS = {
    "serve": ("gateway.cli.serve:serve", "Serve the deployments of a configuration."),
    "sandbox": ("gateway.cli.sandbox.command:sandbox", "Serve a gateway and mock llama-servers on this machine."),
    "check": ("gateway.cli.check:check", "Report everything that is wrong with a configuration file."),
    "accounts": ("gateway.cli.registry.accounts:accounts", "Add, list and remove accounts."),
    "keys": ("gateway.cli.registry.keys:keys", "Create, change, list, revoke and rotate keys."),
    "deployments": (
        "gateway.cli.registry.deployments:deployments",
        "Add, change, list, pause, resume and remove deployments.",
    ),
    "people": ("gateway.cli.team.people:people", "Invite people, list, change and remove them."),
    "invitations": ("gateway.cli.team.invitations:invitations", "List invitations and take them back."),
    "tokens": ("gateway.cli.team.tokens:tokens", "Create, list and revoke admin tokens."),
    "activity": ("gateway.cli.team.activity:activity", "List the requests under way in a gateway, and end them."),
    "usage": ("gateway.cli.team.usage:usage", "Read who used how much: requests, tokens, time, cost."),
    "limits": ("gateway.cli.team.limits:limits", "Limit how much keys, people and accounts may use."),
    "audit": ("gateway.cli.team.audit_log:audit", "Read who did what to what."),
    "import": ("gateway.cli.registry.import_command:import_", "Move a configuration's accounts into a database."),
    "hash-key": ("gateway.cli.hash_key:hash_key", "Make the key_sha256 of a key."),
    "contract": ("gateway.cli.contract.command:contract", "Print the contract, or check whether a gateway keeps it."),
    "schema": ("gateway.cli.schema:schema", "Print the JSON Schema of the configuration file."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name, and turns the gateway's own errors into lines on standard error."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which they are needed."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; None if there is no such command."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name][0].split(":")
        if cmd_name in {"serve", "sandbox"}:
            gc.disable()  # until it serves: nothing of what is imported is garbage, and a fifth of the time is saved
            os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # which it would look for in all packages
        command = _command(module, name)
        if cmd_name != "serve":  # which has nothing to tidy up until it listens to signals by itself
            _let_ctrl_c_interrupt()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. For an error of a source or a change: a line each, and exit code 1."""
        try:
            return super().invoke(ctx)
        except SourceError as error:
            for line in error.lines:
                click.echo(line, err=True)
        except ChangeError as error:
            click.echo(str(error), err=True)
        except OutputError as error:
            if error.errno != errno.EPIPE:  # else who reads has seen enough, as `head` does
                click.echo(error.strerror, err=True)
        sys.exit(1)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gguf-gateway")
def main() -> None:
    """A key-protected gateway in front of llama-servers."""
    replace_what_cannot_be_encoded()


def _command(module: str, name: str) -> click.Command:
    command: click.Command = getattr(import_module(module), name)
    return command


def _let_ctrl_c_interrupt() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt: until now it ended the process, see `gateway/__main__.py`."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
