"""What a gateway imports to serve: the database's and the pages' libraries come when somebody first asks for them."""

import subprocess
import sys

_LATER = ("sqlalchemy", "alembic", "jinja2", "argon2", "cryptography", "joserfc")
_CODE = f"""
import sys
import gateway.cli.serve, gateway.server.app, gateway.server.process.run
print(*({{*{_LATER!r}}} & set(sys.modules)))
"""


def test_a_start_loads_nothing_that_only_a_team_needs() -> None:
    done = subprocess.run((sys.executable, "-c", _CODE), check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
