"""A good configuration file, and its key."""

from pathlib import Path

KEY = "gw_CANARY_secret_0123456789"
GOOD = f"""\
accounts:
  acme:
    keys:
      - {{name: laptop, key: {KEY}}}
deployments:
  demo: {{account: acme, upstream: "http://127.0.0.1:9931"}}
"""


def written(folder: Path) -> Path:
    """The good configuration in a file that only its owner may read."""
    path = folder / "gateway.yaml"
    path.write_text(GOOD)
    path.chmod(0o600)
    return path
