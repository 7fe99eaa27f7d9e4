"""What a request says of its body's kind, read as aiohttp reads it, unless it is longer than any that is meant."""

from typing import NamedTuple

from aiohttp import hdrs, web

_LONGEST = 200  # characters: to read 8 KB of semicolons takes the parser half a second, and all others wait


class MediaType(NamedTuple):
    """The type in lower case, and the `charset` that is named with it."""

    type: str
    charset: str | None = None


def media_type(request: web.Request) -> MediaType:
    """That of the request; empty for one that is too long."""
    if len(request.headers.get(hdrs.CONTENT_TYPE, "")) > _LONGEST:
        return MediaType("")
    return MediaType(request.content_type, request.charset)
