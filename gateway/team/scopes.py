"""What an admin token may be limited to. Each operation names the one it needs."""

ALL_SCOPES = "*"
_CHANGED = ("accounts", "people", "keys", "tokens", "deployments", "activity", "limits")
_READ = ("audit", "usage", "events")
SCOPES = (
    ALL_SCOPES,
    *(f"{kind}:{what}" for kind in _CHANGED for what in ("read", "write")),
    *(f"{kind}:read" for kind in _READ),
)
