// The request of the playground as code to copy. The key is never in it: it is taken from GGUF_KEY.
import { bodyOf, pathOf } from "./playground_stream.js";

export function codeOf(language, relay, wanted) {
  return { curl, python, typescript }[language](relay, wanted);
}

function curl(relay, wanted) {
  const body = JSON.stringify(bodyOf(wanted), null, 2).replaceAll("'", "'\\''");
  return `curl -N ${relay}${pathOf(wanted)} \\
  -H "Authorization: Bearer $GGUF_KEY" \\
  -H "Content-Type: application/json" \\
  -d '${body}'`;
}

function python(relay, wanted) {
  // The strings of JSON are strings of Python, too; nothing else is in these lists.
  const { base, values } = partsOf(relay, wanted);
  const given = Object.entries(values).map(([name, value]) => `    ${name}=${JSON.stringify(value)},`);
  if (wanted.protocol === "anthropic")
    return `import os
from anthropic import Anthropic

client = Anthropic(base_url="${base}", api_key=os.environ["GGUF_KEY"])
with client.messages.stream(
${given.join("\n")}
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)`;
  return `import os
from openai import OpenAI

client = OpenAI(base_url="${base}/v1", api_key=os.environ["GGUF_KEY"])
stream = client.chat.completions.create(
${given.join("\n")}
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`;
}

function typescript(relay, wanted) {
  const { base, values } = partsOf(relay, wanted);
  const given = Object.entries(values).map(([name, value]) => `  ${name}: ${JSON.stringify(value)},`);
  if (wanted.protocol === "anthropic")
    return `import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "${base}", apiKey: process.env.GGUF_KEY });
const stream = client.messages.stream({
${given.join("\n")}
});
stream.on("text", (text) => process.stdout.write(text));
await stream.finalMessage();`;
  return `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${base}/v1", apiKey: process.env.GGUF_KEY });
const stream = await client.chat.completions.create({
${given.join("\n")}
  stream: true,
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");`;
}

function partsOf(relay, wanted) {
  const { stream, stream_options, ...values } = bodyOf(wanted);
  return { base: `${relay}/api/gguf/${encodeURIComponent(wanted.deployment)}`, values };
}
