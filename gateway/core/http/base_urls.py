"""Which base URL a client should have been given, told from the path that it asked for. Pure text.

A client adds its own part to its base URL: `/chat/completions`, or `/v1/messages`. What stands before that part shows
the slip: one slash too many, `/v1` twice, or none, or an endpoint's whole URL in the place of a base URL.
"""

import re

from gateway.core.deployment import Deployment
from gateway.core.endpoints import ENDPOINTS, PREFIX, Endpoint, EndpointGroup

_V1 = "/v1"
# Longest first: `/v1/chat/completions` ends in `/completions`, too.
_PATHS = sorted(ENDPOINTS, key=len, reverse=True)
_ONE_MODEL = re.compile(r"(?<=/models)/(?!(?:load|unload|sse)$)[^/]+$")


def right_base_url(asked: str, deployment_id: str) -> str:
    """The sentence that follows "Nothing is served at this path."; empty if the path is more than one slip off.

    `asked` is what follows the deployment's id in the URL. No scheme and host are named: a proxy may have others.

    >>> right_base_url("/chat/completions", "demo")
    ' The base URL of this client has to end in /api/gguf/demo/v1'
    >>> right_base_url("/v1/v1/messages", "demo")
    ' The base URL of this client has to end in /api/gguf/demo'
    >>> right_base_url("/slots", "demo")
    ''
    """
    base = f"{PREFIX}{deployment_id}"
    if asked.strip("/") in {"", "v1"}:
        return f" It is a base URL: that of an OpenAI client ends in {base}{_V1}, that of an Anthropic client in {base}"
    end = _end_of_base(_ONE_MODEL.sub("", asked))
    return "" if end is None else f" The base URL of this client has to end in {base}{end}"


def beyond_base_urls(asked: str) -> str:
    """The same for a path that names no deployment: empty unless it ends as that of an endpoint does."""
    if PREFIX not in asked and any(asked.endswith((path, path.removeprefix(_V1))) for path in _PATHS):
        return (
            f" The base URL of a deployment ends in {PREFIX}{{deployment_id}}, for an OpenAI client with {_V1} behind"
        )
    return ""


def how_to_enable(endpoint: Endpoint, deployment: Deployment) -> str:
    """What follows "This endpoint is not enabled for this deployment: "."""
    words = f"add `{endpoint.group}` to its `endpoints`"
    twin = ENDPOINTS.get(_V1 + endpoint.path)
    if twin is not None and twin.group in deployment.endpoints:
        words += f". To ask for {twin.path}, end the base URL in {PREFIX}{deployment.id}{_V1}"
    return words


def _end_of_base(asked: str) -> str | None:
    """What the right base URL ends in behind the deployment's id: "" or "/v1"; None if that cannot be told."""
    path = re.sub("/{2,}", "/", asked).rstrip("/")
    if path in ENDPOINTS:
        return _before_double_slash(asked, ENDPOINTS[path])
    for known in _PATHS:
        for end, part in (("", known), (_V1, known.removeprefix(_V1))):
            before = path.removesuffix(part)
            if before != path and before in {"", _V1, *_PATHS}:
                return before.removesuffix(part) if before.endswith(part) else end
    return None


def _before_double_slash(asked: str, endpoint: Endpoint) -> str:
    """Where only slashes are too many: the base URL ends before them, or else as the documents say."""
    before, double, _ = asked.rstrip("/").rpartition("//")
    if double:
        return _V1 if before.rstrip("/").endswith(_V1) else ""
    return _V1 if endpoint.path.startswith(_V1) and endpoint.group is not EndpointGroup.ANTHROPIC else ""
