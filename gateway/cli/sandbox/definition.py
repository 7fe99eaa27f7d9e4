"""The sandbox's definition: a gateway's configuration in which deployments have a mock in place of an upstream."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from gateway.cli.sandbox.mock_process import SandboxError
from gateway.cli.sandbox.real_server import RealServer
from gateway.config.document import Document, SourceError
from gateway.config.server_settings import is_loopback
from gateway.config.settings import Settings, settings_of
from gateway.config.yaml_reader import read_yaml
from gateway.core.http.cors import LOOPBACK_ORIGINS

DEFINITION = Path(__file__).with_name("sandbox.yaml")
REAL = "demo-real"
_TO_COME = "http://127.0.0.1:9"  # the upstream of a deployment whose mock has no port yet
# What a sandbox's gateway has where its definition says nothing. Ctrl-C ends everything within 2 s.
_SERVER: Mapping[str, Any] = {
    "timeouts": {"drain": 0.5},
    "probes": {"interval": 1.0},
    "cors_origins": [*LOOPBACK_ORIGINS],
}


@dataclass(frozen=True, slots=True)
class Definition:
    """What is served. `document` is a gateway's configuration; `mocks` has the options of each mock's command line.

    `real` has the deployments with a real llama-server.
    """

    document: Mapping[str, Any]
    mocks: Mapping[str, tuple[str, ...]]
    about: Mapping[str, str]
    port: int
    real: Mapping[str, RealServer] = field(default_factory=dict)

    @property
    def key(self) -> str | None:
        """The text of the first key; None if all are written as digests."""
        keys = (key for account in self.document["accounts"].values() for key in account.get("keys", ()))
        return next((key["key"] for key in keys if "key" in key), None)

    def with_real(self, real: RealServer) -> "Definition":
        """The same with one deployment more, of the first account. Raises SandboxError if there is one of its name."""
        deployments, accounts = self.document["deployments"], list(self.document["accounts"])
        if REAL in deployments or not accounts:
            raise SandboxError(
                f"--real adds a deployment {REAL} to the definition's, which needs its name and an account."
            )
        entry = {"account": accounts[0], "upstream": _TO_COME}
        document = {**self.document, "deployments": {**deployments, REAL: entry}}
        about = {**self.about, REAL: f"a real llama-server with {real.model.name}"}
        return replace(self, document=document, about=about, real={REAL: real})

    def configuration(self, upstreams: Mapping[str, str], port: int) -> str:
        """A gateway's configuration in which every mock has its upstream."""
        deployments = {
            name: {**entry, "upstream": upstreams.get(name, entry["upstream"])}
            for name, entry in self.document["deployments"].items()
        }
        server = _over(_SERVER, {**(self.document.get("server") or {}), "port": port})
        return yaml.safe_dump({**self.document, "server": server, "deployments": deployments}, sort_keys=False)


def read_definition(path: Path = DEFINITION) -> Definition:
    """The definition, as it is shipped or as a file of its form says. Raises SourceError with every error in it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {(error.strerror or 'unknown reason').lower()}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: the file is not UTF-8") from error
    document = read_yaml(text, str(path), os.environ)
    mocks, about = dict[str, tuple[str, ...]](), dict[str, str]()
    for name, entry in _deployments(document):
        about[name] = str(entry.pop("about", ""))
        if "mock" in entry and "upstream" in entry:
            document.add_error(("deployments", name, "mock"), "cannot be used with `upstream`; choose one")
        options = entry.pop("mock", None)
        if "upstream" not in entry:
            entry["upstream"] = _TO_COME
            mocks[name] = tuple(_words(document, name, options))
    settings = _settings(document, path.parent)
    if not isinstance(document.value, dict):
        raise AssertionError("what has settings is a mapping")
    return Definition(document.value, mocks, about, settings.server.port)


def _deployments(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    deployments = document.value.get("deployments") if isinstance(document.value, dict) else None
    for name, entry in (deployments if isinstance(deployments, dict) else {}).items():
        if isinstance(entry, dict):
            yield name, entry


def _settings(document: Document, folder: Path) -> Settings:
    """What the gateway itself makes of it. Raises SourceError."""
    settings = settings_of(document, folder)
    if settings.database is not None:
        document.add_error(("database",), "a sandbox has its accounts and deployments in its file")
    if not all(is_loopback(host) for host in settings.server.host):
        document.add_error(("server", "host"), "a sandbox listens on this machine only; use `gguf-gateway serve`")
    document.raise_errors()
    return settings


def _words(document: Document, name: str, options: object) -> Iterator[str]:
    """`{tps: 30, endless: true, fault: [503 times=1]}` as the words of a command line."""
    if options is None:
        return
    if not isinstance(options, dict):
        document.add_error(("deployments", name, "mock"), "must be a mapping of the mock's options, like `tps: 30`")
        return
    for option, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                yield f"--{option}"
            elif isinstance(one, str | int | float) and one is not False:
                yield f"--{option}={one}"
            elif one is not False:
                document.add_error(("deployments", name, "mock", option), "must be text, a number, true, or a list")


def _over(ours: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`ours` with what is given put over it, sections merged."""
    merged = {
        name: _over(ours[name], value) if isinstance(value, Mapping) and isinstance(ours.get(name), Mapping) else value
        for name, value in given.items()
    }
    return {**ours, **merged}
