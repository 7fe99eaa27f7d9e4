"""The connections that an upstream has seen."""

from tests.harness.sockets.scripted_upstream import ScriptedUpstream


def connections(upstream: ScriptedUpstream) -> list[int]:
    """The connection that each request came on."""
    return [received.connection for received in upstream.requests]
