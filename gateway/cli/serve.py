"""`gguf-gateway serve`: the gateway, until it is told to stop."""

import logging
import os
import signal
from pathlib import Path

import click
from pydantic import ValidationError

from gateway.cli.arguments import FILE
from gateway.config.document import SourceError
from gateway.config.settings import Server, Settings
from gateway.config.validation_messages import sentences
from gateway.registry.factory import cautions, registry_of
from gateway.registry.yaml_file import read_settings
from gateway.server.http_server import UnfitAiohttpError
from gateway.server.process.listen_address import ListenError, Reached
from gateway.server.process.run import run
from gateway.server.process.run import serve as serve_until_stopped
from gateway.server.process.workers import fork_workers
from gateway.telemetry import logs

log = logging.getLogger("gateway")

_STDIN, _STDERR = 0, 2


@click.command()
@click.option("--config", "path", required=True, type=FILE, help="The YAML configuration file.")
@click.option("--host", "hosts", multiple=True, help="Address to listen on, instead of the configured ones.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, instead of the configured one.")
@click.option("--stop-with-stdin", is_flag=True, help="Stop, too, when standard input (a pipe) is closed.")
def serve(path: Path, hosts: tuple[str, ...], port: int | None, stop_with_stdin: bool) -> None:
    """Serve the deployments of a configuration until SIGTERM or Ctrl-C."""
    _fill_closed_streams()
    logs.set_up("auto", "info")  # what is wrong with the configuration must not wait, either, for somebody who reads
    settings = _with_options(read_settings(path, hosts=hosts), hosts, port)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # for other servers they have a meaning; here they would kill
    logs.set_up(settings.server.log.format, settings.server.log.level)
    for caution in cautions(settings, path):
        log.warning("%s", caution)
    stop_pipe = _STDIN if stop_with_stdin else None
    try:
        own = fork_workers(settings.server, _announce, stop_pipe)
        registry = registry_of(settings, path)
        run(serve_until_stopped(own.server, registry, own.announce, own.stop_pipe, own.group))
    except (ListenError, UnfitAiohttpError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        logs.let_go()


def _fill_closed_streams() -> None:
    """Open /dev/null for closed standard streams. A socket would take the place of one, which makes uvloop abort."""
    while (file := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(file)


def _with_options(settings: Settings, hosts: tuple[str, ...], port: int | None) -> Settings:
    given: dict[str, object] = {"host": hosts} if hosts else {}
    if port is not None:
        given["port"] = port
    try:
        server = Server.model_validate({**settings.server.model_dump(), **given})
    except ValidationError as error:
        raise SourceError(*(f"--{path[0]}: {sentence}" for path, sentence in sentences(error, Server))) from error
    return settings.model_copy(update={"server": server})


def _announce(reached: Reached) -> None:
    log.info("serving on %s", " and ".join(reached.urls))
    if reached.admin_urls:
        log.info("status page and metrics on %s", " and ".join(reached.admin_urls))
