"""Who and what the gateways under test know: two accounts, their keys, their deployments. All secrets are canaries."""

# A key as the gateway makes them, two that differ after 43 characters only, and one a person thought up.
KEY = "gw_CANARYKEYacme00000000000000000000000000000001"
TWIN_KEY = "gw_CANARYKEYacme00000000000000000000000000000002"  # the other account's
HOMEMADE_KEY = "CANARYKEY-homemade:with/some+signs="
EXPIRED_KEY = "gw_CANARYKEYexpired"
UPSTREAM_KEY = "CANARYUPSTREAM-secret"
COOKIE = "CANARYCOOKIE"
PROMPT = "CANARYPROMPT"

# What may appear in no log and no answer.
SECRETS = ("CANARYKEY", "CANARYUP", COOKIE)

BASE = "/api/gguf/demo"  # acme's, with an upstream key
BARE = "/api/gguf/bare"  # acme's, without one
FOREIGN = "/api/gguf/foreign"  # the other account's
PAUSED = "/api/gguf/paused"
CHAT = f"{BASE}/v1/chat/completions"
MODELS = f"{BASE}/v1/models"

# Everything that is proxied by default, written down once more and not taken from the gateway's own table.
ENDPOINTS = {
    "/v1/chat/completions": "POST",
    "/v1/chat/completions/input_tokens": "POST",
    "/v1/completions": "POST",
    "/v1/embeddings": "POST",
    "/v1/messages": "POST",
    "/v1/messages/count_tokens": "POST",
    "/v1/responses": "POST",
    "/v1/responses/input_tokens": "POST",
    "/v1/audio/transcriptions": "POST",
    "/v1/rerank": "POST",
    "/v1/models": "GET",
}

# The endpoints of llama-server's own that a deployment may enable besides, those that the gateway rewrites left out.
NATIVE = {
    "/completion": "POST",
    "/completions": "POST",
    "/v1/chat/completions/control": "POST",
    "/infill": "POST",
    "/embedding": "POST",
    "/embeddings": "POST",
    "/rerank": "POST",
    "/reranking": "POST",
    "/v1/reranking": "POST",
    "/v1/systemone": "POST",
    "/tokenize": "POST",
    "/detokenize": "POST",
    "/apply-template": "POST",
}

BODY = b'{"model":"demo","messages":[{"role":"user","content":"CANARYPROMPT"}]}'

ACCOUNTS = f"""
accounts:
  acme:
    keys:
      - {{name: main, key: {KEY}}}
      - {{name: homemade, key: "{HOMEMADE_KEY}"}}
      - {{name: expired, key: {EXPIRED_KEY}, expires_at: 2020-01-01T00:00:00Z}}
  other:
    keys:
      - {{name: main, key: {TWIN_KEY}}}
"""


def deployments(upstream: str) -> str:
    """The `deployments:` section, all of them before one upstream."""
    return f"""
deployments:
  demo: {{account: acme, upstream: "{upstream}", upstream_key: "{UPSTREAM_KEY}", status: ready}}
  bare: {{account: acme, upstream: "{upstream}", status: ready}}
  foreign: {{account: other, upstream: "{upstream}", status: ready}}
  paused: {{account: acme, upstream: "{upstream}", status: paused}}
"""


def config(upstream: str, server: str = "") -> str:
    """A whole configuration file; `server` holds further fields of its `server:` section, in flow style."""
    return f"server: {{port: 0, {server}}}\n{ACCOUNTS}{deployments(upstream)}"
