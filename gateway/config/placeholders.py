"""Values that stand where a secret belongs, and are plainly none: a template's, or a variable's that nobody filled in.

Whoever knows the template knows such a key. Pure: no I/O.
"""

import re
from collections.abc import Iterator

from gateway.config.document import Document, Path

_PLACEHOLDER = re.compile(
    r"""
    \$[A-Za-z_]\w* | \$\{.*\} | \$\(.*\) | \$env:\w+   # of shells
    | %[A-Za-z_]\w*%                                   # of Windows
    | os\.environ/\w+                                  # LiteLLM's
    | .*\{\{.*\}\}.*                                   # of Jinja, Helm, Ansible, GitHub Actions
    | <[^<>]*>                                         # of manuals
    | (?:sk-|gw_)?(.)\1{7,}                            # xxxxxxxx
    | (?:sk-|gw_)?(?:your|my|the|some)?[-_]?(?:own|api|secret|access)?[-_]?(?:key|token)[-_]?(?:here)?
    | change[-_ ]?me | replace[-_ ]?me | placeholder
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SENTENCE = (
    "is a placeholder and not a secret; put a key there, or `${NAME}` for an environment variable that holds one"
)


def is_placeholder(value: str) -> bool:
    """Whether this was written where a secret should be filled in."""
    return _PLACEHOLDER.fullmatch(value.strip()) is not None


def placeholders(value: object, path: Path = ()) -> Iterator[Path]:
    """Where in a configuration, as plain values, a placeholder stands for a secret."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in {"key", "upstream_key", "client_secret"} and isinstance(item, str) and is_placeholder(item):
                yield (*path, name)
            else:
                yield from placeholders(item, (*path, name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from placeholders(item, (*path, index))


def refuse_placeholders(document: Document) -> None:
    """Note each of them as an error: for a gateway that others can reach."""
    for path in placeholders(document.value):
        document.add_error(path, _SENTENCE)
