// The how-to of docs/guide/other-languages.md: `npm install openai`, and `node --test`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after, before, beforeEach, test } from "node:test";

import OpenAI from "openai";

const messages = [{ role: "user", content: "Tell me a story." }];
let gateway, sandbox, demo, client;

before(async () => {
  const options = ["sandbox", "--config", "sandbox.yaml", "--port", "0", "--json", "--stop-with-stdin"];
  gateway = spawn("gguf-gateway", options, { stdio: ["pipe", "pipe", "inherit"] });
  const { value: line } = await createInterface({ input: gateway.stdout })[Symbol.asyncIterator]().next();
  sandbox = JSON.parse(line);
  demo = sandbox.deployments.demo;
  client = new OpenAI({ baseURL: demo.openai_base_url, apiKey: sandbox.key, maxRetries: 0 });
});

after(() => gateway.stdin.end());

beforeEach(() => ask("POST", "reset"));

async function ask(method, path, body) {
  const answer = await fetch(`${demo.control_url}/__mock__/${path}`, { method, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, text); // an error is one sentence; 408 lists what was received
  return text && JSON.parse(text);
}

test("my client says that a deployment is paused", async () => {
  await ask("PUT", "state", { state: "paused" });
  await assert.rejects(client.models.list(), { status: 503, message: /status: paused/ });
  await ask("PUT", "state", { state: "ready" });
  assert.ok(await client.models.list());
});

test("my client notices a stream that breaks", async () => {
  const stream = await client.chat.completions.create({ model: "any", messages, stream: true });
  const reading = assert.rejects(async () => {
    for await (const _ of stream);
  }, /broke off|terminated/); // the gateway's last words, or Node's, which drops what was not read in time
  await ask("GET", "requests/wait?ended=running");
  await ask("PUT", "state", { state: "crashed" });
  await reading;
});

test("my client tries again", async () => {
  await ask("POST", "faults", { fault: "500", times: 1, headers: { "Retry-After-Ms": "10" } });
  await client.chat.completions.create({ model: "any", messages, max_tokens: 5 }, { maxRetries: 1 });
  const { requests } = await ask("GET", "requests?path=/v1/chat/completions");
  assert.deepEqual(requests.map((request) => request.status), [500, 200]);
});

test("my client leaves, and the model stops", async () => {
  const stream = await client.chat.completions.create({ model: "any", messages, stream: true });
  for await (const _ of stream) break;
  await ask("GET", "requests/wait?ended=aborted&timeout=10");
});
