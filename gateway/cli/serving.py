"""What follows the command `serve`: the gateway, until it is told to stop. To import this takes most of a start."""

import logging
import signal
from collections.abc import Callable
from pathlib import Path

import click

from gateway.config.server_settings import Server
from gateway.registry.factory import registry_of
from gateway.registry.file_content import Configuration
from gateway.server.http_server import UnfitAiohttpError
from gateway.server.process.event_loop import run
from gateway.server.process.listen_address import ListenError, Reached
from gateway.server.process.run import ServeArguments
from gateway.server.process.run import serve as serve_until_stopped
from gateway.telemetry import logs

log = logging.getLogger("gateway")


def serve_configuration(path: Path, read: Callable[[], Configuration], stop_pipe: int | None) -> None:
    """Serve what `read` gives, which is what the file at `path` says. Raises SourceError, and a click error."""
    logs.set_up("auto", "info")  # what is wrong with the configuration must not wait, either, for somebody who reads
    configuration = read()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # for other servers they have a meaning; here they would kill
    server = configuration.server
    logs.set_up(server.log.format, server.log.level)
    for caution in configuration.cautions:
        log.warning("%s", caution)
    try:
        own = _own_arguments(server, stop_pipe)
        if own.group.number:
            logging.getLogger("gateway.registry").setLevel(logging.ERROR)  # the first says what all of them have read
        registry = registry_of(configuration, path)
        run(serve_until_stopped(own.server, registry, own.announce, own.stop_pipe, own.group))
    except (ListenError, UnfitAiohttpError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        logs.finish()


def _own_arguments(server: Server, stop_pipe: int | None) -> ServeArguments:
    """What this process serves with, or each of several: what supervises them is loaded where it is needed."""
    if server.workers == 1:
        return ServeArguments(server, _announce, stop_pipe)
    from gateway.server.process.workers import fork_workers

    return fork_workers(server, _announce, stop_pipe)


def _announce(reached: Reached) -> None:
    log.info("serving on %s", " and ".join(reached.urls))
    if reached.admin_urls:
        log.info("status page and metrics on %s", " and ".join(reached.admin_urls))
