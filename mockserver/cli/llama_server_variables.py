"""The variables of the environment that llama-server takes its options from, as they are given to a container.

They are those of its `--help` at the build that is played (`options.BUILD_INFO`); a command line counts more.
"""

from collections.abc import Sequence

_VARIABLES = {
    "--host": "LLAMA_ARG_HOST",
    "--port": "LLAMA_ARG_PORT",
    "--alias": "LLAMA_ARG_ALIAS",
    "--tags": "LLAMA_ARG_TAGS",
    "--model": "LLAMA_ARG_MODEL",
    "--hf-repo": "LLAMA_ARG_HF_REPO",
    "--hf-file": "LLAMA_ARG_HF_FILE",
    "--model-url": "LLAMA_ARG_MODEL_URL",
    "--api-key": "LLAMA_API_KEY",
    "--api-key-file": "LLAMA_ARG_API_KEY_FILE",
    "--parallel": "LLAMA_ARG_N_PARALLEL",
    "--ctx-size": "LLAMA_ARG_CTX_SIZE",
    "--kv-unified": "LLAMA_ARG_KV_UNIFIED",
    "--context-shift": "LLAMA_ARG_CONTEXT_SHIFT",
    "--batch-size": "LLAMA_ARG_BATCH",
    "--ubatch-size": "LLAMA_ARG_UBATCH",
    "--n-predict": "LLAMA_ARG_N_PREDICT",
    "--temperature": "LLAMA_ARG_TEMPERATURE",
    "--chat-template": "LLAMA_ARG_CHAT_TEMPLATE",
    "--chat-template-file": "LLAMA_ARG_CHAT_TEMPLATE_FILE",
    "--jinja": "LLAMA_ARG_JINJA",
    "--reasoning": "LLAMA_ARG_REASONING",
    "--reasoning-format": "LLAMA_ARG_THINK",
    "--embeddings": "LLAMA_ARG_EMBEDDINGS",
    "--reranking": "LLAMA_ARG_RERANKING",
    "--pooling": "LLAMA_ARG_POOLING",
    "--metrics": "LLAMA_ARG_ENDPOINT_METRICS",
    "--props": "LLAMA_ARG_ENDPOINT_PROPS",
    "--slots": "LLAMA_ARG_ENDPOINT_SLOTS",
    "--sse-ping-interval": "LLAMA_ARG_SSE_PING_INTERVAL",
    "--cors-origins": "LLAMA_ARG_CORS_ORIGINS",
    "--cors-credentials": "LLAMA_ARG_CORS_CREDENTIALS",
    "--cors-methods": "LLAMA_ARG_CORS_METHODS",
    "--cors-headers": "LLAMA_ARG_CORS_HEADERS",
    "--ui-mcp-proxy": "LLAMA_ARG_UI_MCP_PROXY",
    "--tools": "LLAMA_ARG_TOOLS",
    "--models-dir": "LLAMA_ARG_MODELS_DIR",
    "--models-preset": "LLAMA_ARG_MODELS_PRESET",
    "--models-max": "LLAMA_ARG_MODELS_MAX",
    "--models-autoload": "LLAMA_ARG_MODELS_AUTOLOAD",
}


def variable_of(names: Sequence[str]) -> str | None:
    """The variable of an option that has these names, `--yes/--no` among them."""
    return next((_VARIABLES[name] for name in (name.partition("/")[0] for name in names) if name in _VARIABLES), None)
