// The how-to of docs/guide/other-languages.md: `npm install openai`, and `node --test`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after, before, beforeEach, test } from "node:test";

import OpenAI from "openai";

const messages = [{ role: "user", content: "Tell me a story." }];
let server, url, control, client;

before(async () => {
  const options = ["--port", "0", "--tps", "100", "--endless", "--stop-with-stdin"];
  server = spawn("mock-llama-server", options, { stdio: ["pipe", "pipe", "inherit"] });
  for await (const line of createInterface({ input: server.stdout })) {
    const [, name, address] = line.match(/^main: (\w+) is listening on (\S+)/) ?? [];
    if (name === "control") control = address;
    if (name === "server") {
      url = address;
      break;
    }
  }
  server.stdout.resume();
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any" });
});

after(() => server.kill());

beforeEach(async () => {
  await ask("POST", "reset"); // ready, nothing received, nothing wrong
});

async function ask(method, path, body) {
  const answer = await fetch(`${control}/__mock__/${path}`, { method, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, text); // 408 lists what was received
  return text && JSON.parse(text);
}

test("an answer streams", async () => {
  const stream = await client.chat.completions.create({ model: "any", messages, max_tokens: 5, stream: true });
  let story = "";
  for await (const chunk of stream) story += chunk.choices[0]?.delta?.content ?? "";
  assert.notEqual(story, "");
});

test("my client tries again", async () => {
  await ask("POST", "faults", { fault: "503", times: 1 });
  await client.chat.completions.create({ model: "any", messages, max_tokens: 5 });
  const { requests } = await ask("GET", "requests?path=/v1/chat/completions");
  assert.deepEqual(requests.map((request) => request.status), [503, 200]);
});

test("my client waits until the model has loaded", async () => {
  await ask("PUT", "state", { state: "deploying", load_seconds: 0.2 });
  await client.chat.completions.create({ model: "any", messages, max_tokens: 5 });
});

test("my client leaves, and the model stops", async () => {
  const stream = await client.chat.completions.create({ model: "any", messages, stream: true });
  for await (const _ of stream) break;
  await ask("GET", "requests/wait?ended=aborted&timeout=2");
});
