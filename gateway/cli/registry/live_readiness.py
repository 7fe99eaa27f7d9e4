"""What a running gateway says of its deployments: `gguf_deployment_status` of its `/metrics`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from gateway.config.server_settings import Server, is_loopback

_SECONDS = 1.0  # for a connection, and for each part of the answer: somebody sits and waits
_MOST_BYTES = 64 * 1024 * 1024
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where to reach what listens everywhere
_UNNAMED = "Readiness is not known: --config FILE or --gateway URL would say which gateway to ask."


@dataclass(frozen=True, slots=True)
class LiveReadiness:
    """What clients of each deployment meet now, by its id. `unknown` says in a sentence why that is not known."""

    statuses: Mapping[str, str] = field(default_factory=dict)
    unknown: str = ""


def ask(url: str | None, server: Server | None) -> LiveReadiness:
    """Ask the gateway at `url`, or else the one that `server` configures, as its operator on this machine."""
    if url is None and server is not None:
        if server.metrics == "off":
            return LiveReadiness(unknown="Readiness is not known: server.metrics is off.")
        url = url_of(server)
        if url is None:
            return LiveReadiness(
                unknown="Readiness is not known: server.port is 0, so name the gateway by --gateway URL."
            )
    return LiveReadiness(unknown=_UNNAMED) if url is None else _ask(url)


def url_of(server: Server) -> str | None:
    """Where the operator's pages of a gateway answer; None for a port that nobody knows beforehand."""
    listening = server.admin or server
    reached = [_EVERY_ADDRESS.get(host, host) for host in (host.strip("[]") for host in listening.host)]
    host = next(filter(is_loopback, reached), reached[0])
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.port}" if listening.port else None


def _ask(url: str) -> LiveReadiness:
    try:
        status, body = _get(url)
        found = _statuses(body) if status == 200 else None
    except OSError as error:
        why = (error.strerror or "no answer").lower()
        return LiveReadiness(unknown=f"Readiness is not known: no gateway answers at {url} ({why}).")
    except (HTTPException, ValueError):
        status, found = 0, None
    if found is not None:
        return LiveReadiness(found)
    if status == 404:
        return LiveReadiness(unknown=f"Readiness is not known: {url} does not show /metrics here (see server.metrics).")
    return LiveReadiness(unknown=f"Readiness is not known: what answers at {url} is not a gateway's /metrics.")


def _get(url: str) -> tuple[int, str]:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_SECONDS)
    try:
        connection.request("GET", f"{parts.path}/metrics", headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read(_MOST_BYTES).decode("utf-8", "replace")
    finally:
        connection.close()


def _statuses(text: str) -> dict[str, str] | None:
    """The status of each deployment; None if this is not what a gateway says. Raises ValueError for another format."""
    from prometheus_client.parser import text_string_to_metric_families

    for family in text_string_to_metric_families(text):
        if family.name == "gguf_deployment_status":
            return {one.labels["deployment"]: one.labels["status"] for one in family.samples if one.value == 1}
    return None
