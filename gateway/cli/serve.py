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
_SPARED = {"SSL_CERT_FILE": os.devnull, "FROZENLIST_NO_EXTENSIONS": "1"}


@click.command()
@click.option("--config", "path", required=True, type=FILE, help="The YAML configuration file.")
@click.option("--host", "hosts", multiple=True, help="Address to listen on, instead of the configured ones.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, instead of the configured one.")
@click.option("--stop-with-stdin", is_flag=True, help="Stop, too, when standard input (a pipe) is closed.")
def serve(path: Path, hosts: tuple[str, ...], port: int | None, stop_with_stdin: bool) -> None:
    """Serve the deployments of a configuration until SIGTERM or Ctrl-C."""
    _fill_closed_streams()
    reading = ForkedWork(lambda: _read(path, hosts, port))
    with _without_what_aiohttp_reads():
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
def _without_what_aiohttp_reads() -> Iterator[None]:
    """Let aiohttp do without what it reads or links as it is imported, and a gateway does not need.

    - The system's certificate authorities, for aiohttp's client: 40 ms and 2 MB. Who trusts them here makes a context
      of its own, later: upstreams, and the client of an OpenID provider.
    - The system's kinds of file, for files that it serves: 4 ms and 0.4 MB. Those served here say their own.
    - FrozenList in C, with the library of C++: 1 MB. A request goes through one such list at most.
    """
    kinds, mimetypes.knownfiles = mimetypes.knownfiles, []
    given = {name: os.environ.get(name) for name in _SPARED}
    os.environ.update(_SPARED)
    try:
        yield
    finally:
        mimetypes.knownfiles = kinds
        for name, value in given.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
