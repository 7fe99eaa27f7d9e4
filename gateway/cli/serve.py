"""`gguf-gateway serve`: reads its configuration in a process of its own, and loads what serves meanwhile."""

import contextlib
import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path

import click

from gateway.cli.arguments import FILE
from gateway.cli.forked_work import ForkedWork
from gateway.registry.file_content import Configuration

_STDIN, _STDERR = 0, 2


@click.command()
@click.option("--config", "path", required=True, type=FILE, help="The YAML configuration file.")
@click.option("--host", "hosts", multiple=True, help="Address to listen on, instead of the configured ones.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, instead of the configured one.")
@click.option("--stop-with-stdin", is_flag=True, help="Stop, too, when standard input (a pipe) is closed.")
def serve(path: Path, hosts: tuple[str, ...], port: int | None, stop_with_stdin: bool) -> None:
    """Serve the deployments of a configuration until SIGTERM or Ctrl-C."""
    _fill_closed_streams()
    reading = ForkedWork(lambda: _read(path, hosts, port))
    with _without_files_of_aiohttp():
        from gateway.cli.serving import serve_configuration
    serve_configuration(path, reading.result, _STDIN if stop_with_stdin else None)


def _read(path: Path, hosts: tuple[str, ...], port: int | None) -> Configuration:
    from gateway.registry.start_configuration import read_configuration

    return read_configuration(path, hosts, port)


def _fill_closed_streams() -> None:
    """Open /dev/null for closed standard streams. A socket would take the place of one, which makes uvloop abort."""
    while (file := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(file)


@contextlib.contextmanager
def _without_files_of_aiohttp() -> Iterator[None]:
    """aiohttp reads files of the system as it is imported: its certificate authorities (40 ms, 2 MB), for its client,
    and its kinds of file (4 ms, 0.4 MB), for those that it serves.

    Who trusts authorities here makes a context of its own, later: upstreams, and the client of an OpenID provider. The
    files that are served here say themselves of which kind they are.
    """
    authorities, kinds = os.environ.get("SSL_CERT_FILE"), mimetypes.knownfiles
    os.environ["SSL_CERT_FILE"], mimetypes.knownfiles = os.devnull, []
    try:
        yield
    finally:
        mimetypes.knownfiles = kinds
        del os.environ["SSL_CERT_FILE"]
        if authorities is not None:
            os.environ["SSL_CERT_FILE"] = authorities
