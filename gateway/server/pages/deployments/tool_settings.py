"""How each SDK and tool is pointed at a deployment: the lines of docs/guide/sdks.md, with another address in them."""

from typing import NamedTuple

KEY = "YOUR_KEY"
_BASE, _KEY = "<BASE>", "<KEY>"


class ToolSettings(NamedTuple):
    """What a tool is given. `code` is to be pasted."""

    tool: str
    code: str


def settings_for(base_url: str, key: str = KEY) -> list[ToolSettings]:
    """Those of all tools, for the base URL of a deployment without `/v1`."""
    return [ToolSettings(tool, code.replace(_BASE, base_url).replace(_KEY, key)) for tool, code in _TOOLS]


_TOOLS = (
    (
        "OpenAI SDK, by the environment",
        """\
export OPENAI_BASE_URL=<BASE>/v1
export OPENAI_API_KEY=<KEY>
""",
    ),
    (
        "OpenAI SDK, Node",
        """\
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "<BASE>/v1",
  apiKey: "<KEY>",
  maxRetries: 10,
});
const answer = await client.chat.completions.create({ model: "any", messages: [{ role: "user", content: "Hello" }] });
console.log(answer.choices[0].message.content);
""",
    ),
    (
        "Anthropic SDK, by the environment",
        """\
export ANTHROPIC_BASE_URL=<BASE>
export ANTHROPIC_API_KEY=<KEY>
""",
    ),
    (
        "Anthropic SDK, Node",
        """\
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({
  baseURL: "<BASE>",
  apiKey: "<KEY>",
  maxRetries: 10,
});
const messages = [{ role: "user", content: "Hello" }];
const answer = await client.messages.create({ model: "any", max_tokens: 100, messages });
console.log(answer.content);
""",
    ),
    (
        "AI SDK",
        """\
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText } from "ai";

const baseURL = "<BASE>/v1";
const apiKey = "<KEY>";
const openai = createOpenAICompatible({ name: "gguf", baseURL, apiKey, supportsStructuredOutputs: true });
const anthropic = createAnthropic({ baseURL, apiKey });

for (const model of [openai("any"), anthropic("any")]) {
  const { text } = await generateText({ model, prompt: "Hello", maxRetries: 6 });
  console.log(text);
}
""",
    ),
    (
        "LangChain",
        """\
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

base_url = "<BASE>"
key = "<KEY>"

print(ChatOpenAI(model="any", base_url=f"{base_url}/v1", api_key=key, max_retries=10).invoke("Hello").content)
print(ChatAnthropic(model="any", base_url=base_url, api_key=key).invoke("Hello").content)
embeddings = OpenAIEmbeddings(model="any", base_url=f"{base_url}/v1", api_key=key, check_embedding_ctx_length=False)
print(len(embeddings.embed_query("Hello")))
""",
    ),
    (
        "LlamaIndex",
        """\
from llama_index.llms.openai_like import OpenAILike

llm = OpenAILike(
    model="any",
    api_base="<BASE>/v1",
    api_key="<KEY>",
    is_chat_model=True,
    is_function_calling_model=True,
    max_retries=10,
)
print(llm.complete("Hello"))
""",
    ),
    (
        "LiteLLM",
        """\
import litellm

base_url = "<BASE>"
key = "<KEY>"
messages = [{"role": "user", "content": "Hello"}]

answer = litellm.completion("openai/any", messages, api_base=f"{base_url}/v1", api_key=key, num_retries=6)
print(answer.choices[0].message.content)
answer = litellm.completion("anthropic/any", messages, api_base=base_url, api_key=key)
print(answer.choices[0].message.content)
ranked = litellm.rerank("hosted_vllm/any", "rain", ["sun", "rain"], api_base=f"{base_url}/v1", api_key=key)
print(ranked.results[0])
""",
    ),
    (
        "Pydantic AI",
        """\
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

base_url = "<BASE>"
key = "<KEY>"

chat = OpenAIChatModel("any", provider=OpenAIProvider(base_url=f"{base_url}/v1", api_key=key))
messages = AnthropicModel("any", provider=AnthropicProvider(base_url=base_url, api_key=key))
for model in (chat, messages):
    print(Agent(model).run_sync("Hello").output)
""",
    ),
    (
        "Claude Code",
        """\
export ANTHROPIC_BASE_URL=<BASE>
export ANTHROPIC_AUTH_TOKEN=<KEY>
export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1
claude
""",
    ),
    (
        "Codex, in ~/.codex/config.toml",
        """\
# ~/.codex/config.toml
model = "any"
model_provider = "gguf"

[model_providers.gguf]
name = "gguf"
base_url = "<BASE>/v1"
env_key = "GGUF_KEY"
wire_api = "responses"
""",
    ),
    (
        "opencode, in opencode.json",
        """\
{
  "provider": {
    "gguf": {
      "npm": "@ai-sdk/openai-compatible",
      "options": {
        "baseURL": "<BASE>/v1",
        "apiKey": "<KEY>"
      },
      "models": { "any": {} }
    }
  },
  "model": "gguf/any"
}
""",
    ),
    (
        "Qwen Code",
        """\
export OPENAI_BASE_URL=<BASE>/v1
export OPENAI_API_KEY=<KEY>
export OPENAI_MODEL=any
qwen --auth-type openai
""",
    ),
    (
        "aider",
        """\
aider --model openai/any --openai-api-base <BASE>/v1 \\
  --openai-api-key <KEY>
""",
    ),
    (
        "Open WebUI",
        """\
export OPENAI_API_BASE_URL=<BASE>/v1
export OPENAI_API_KEY=<KEY>
open-webui serve
""",
    ),
    (
        "curl",
        """\
curl -N <BASE>/v1/messages -H 'x-api-key: <KEY>' \\
  -H 'Content-Type: application/json' \\
  -d '{"max_tokens": 100, "stream": true, "messages": [{"role": "user", "content": "Tell me a story."}]}'
""",
    ),
)
