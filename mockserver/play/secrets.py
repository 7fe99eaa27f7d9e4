"""What is secret about a request: the headers and the parameters of a query that hold keys. One rule for all that is
shown or kept: journal, HAR and recordings.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

MASK = "***"
_HEADER = re.compile(
    r"(.*-)?authorization|(set-)?cookie2?|key|(.*-)?api-?key|.*-(token|secret|password)", re.IGNORECASE | re.ASCII
)
_PARAMETER = r"(?:api[-_]?)?key|(?:access[-_]?|auth[-_]?|id[-_]?)?token|secret|password"
_QUERY = re.compile(rf"(?<=[?&])({_PARAMETER})=[^&]*", re.IGNORECASE)


@lru_cache(maxsize=512)
def is_secret_header(name: str) -> bool:
    """Whether the value of a header is a key or a cookie."""
    return _HEADER.fullmatch(name) is not None


def masked_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers, with stars in place of secrets."""
    return [(name, MASK if is_secret_header(name) else value) for name, value in headers]


def masked_query(path: str) -> str:
    """A path with its query, with stars in place of secrets."""
    return _QUERY.sub(rf"\1={MASK}", path) if "?" in path else path
