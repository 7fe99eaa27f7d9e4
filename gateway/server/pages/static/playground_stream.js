// One streamed answer: what is asked, and what its events say, in either protocol. Nothing here touches the page.

// What a request says, as the protocol's own JSON.
export function bodyOf(wanted) {
  const { deployment, protocol, system, messages, temperature, maxTokens } = wanted;
  const body = { model: deployment, max_tokens: maxTokens, stream: true };
  if (temperature !== null) body.temperature = temperature;
  if (protocol === "anthropic") return { ...body, ...(system && { system }), messages };
  const all = system ? [{ role: "system", content: system }, ...messages] : messages;
  return { ...body, stream_options: { include_usage: true }, messages: all };
}

export function pathOf(wanted) {
  const endpoint = wanted.protocol === "anthropic" ? "messages" : "chat/completions";
  return `/api/gguf/${encodeURIComponent(wanted.deployment)}/v1/${endpoint}`;
}

// The events of a body (text/event-stream, HTML 9.2.6): the name, the data, and the lines as they came.
export async function* eventsOf(body) {
  let rest = "";
  for await (const text of texts(body)) {
    const parts = (rest + text.replaceAll("\r", "")).split("\n\n");
    rest = parts.pop();
    for (const raw of parts) yield parsed(raw);
  }
  if (rest.trim()) yield parsed(rest);
}

async function* texts(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield decoder.decode(value, { stream: true });
  }
}

function parsed(raw) {
  const fields = raw.split("\n").map((line) => /^(event|data): ?(.*)$/.exec(line)).filter(Boolean);
  const data = fields.filter((one) => one[1] === "data").map((one) => one[2]).join("\n");
  return { raw, name: fields.find((one) => one[1] === "event")?.[2] ?? "", data };
}

// What an event adds to the answer: `text`, `thought`, `usage` (`in`, `out`), `end` (why it ended), `error`, `last`.
export function meaningOf(event, protocol) {
  if (event.data === "[DONE]") return { last: true };
  let said;
  try {
    said = JSON.parse(event.data);
  } catch {
    return {};
  }
  if (said.error) return { error: said.error.message ?? "The model server gave no reason." };
  return protocol === "anthropic" ? ofAnthropic(said) : ofOpenAI(said);
}

function ofOpenAI(said) {
  const choice = said.choices?.[0];
  const usage = said.usage && { in: said.usage.prompt_tokens, out: said.usage.completion_tokens };
  const { content, reasoning_content: thought } = choice?.delta ?? {};
  return { text: content, thought, end: choice?.finish_reason, usage };
}

function ofAnthropic(said) {
  if (said.type === "message_stop") return { last: true };
  if (said.type === "message_start") return { usage: { in: said.message?.usage?.input_tokens } };
  if (said.type === "message_delta") return { end: said.delta?.stop_reason, usage: { out: said.usage?.output_tokens } };
  return { text: said.delta?.text, thought: said.delta?.thinking };
}
