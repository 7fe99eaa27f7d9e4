"""A good configuration to build bad ones from, and what is said of those."""

import pytest

from gateway.config.document import SourceError
from gateway.config.settings import parse

CANARY = "gw_CANARY_secret_0123456789"
GOOD = """\
accounts:
  acme:
    keys:
      - {name: laptop, key: gw_plain_text_for_sandboxes}
deployments:
  demo: {account: acme, upstream: "http://127.0.0.1:9931"}
"""


def errors_of(text: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(SourceError) as raised:
        parse(text, "gw.yaml", environ or {})
    return raised.value.lines
