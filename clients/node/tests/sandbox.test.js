// A sandbox in node:test, as a project uses it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MockError, startSandbox } from "gguf-gateway";
import { useSandbox } from "gguf-gateway/node-test";

const sandbox = useSandbox({ deployments: { demo: { endpoints: ["openai", "native"] }, slow: { tps: 50, endless: true } } });
const body = JSON.stringify({ messages: [{ role: "user", content: "Say hello." }], max_tokens: 4 });

async function chat(deployment, init = {}) {
  const headers = { authorization: `Bearer ${sandbox.key}`, "content-type": "application/json" };
  return await fetch(`${deployment.openaiBaseUrl}/chat/completions`, { method: "POST", headers, body, ...init });
}

test("a paused deployment is 503, and ready again when that is said", async () => {
  const demo = sandbox.deployment();
  await demo.pause();
  assert.equal((await chat(demo)).status, 503);
  await demo.resume();
  assert.equal((await chat(demo)).status, 200);
});

test("each test begins anew", async () => {
  const demo = sandbox.deployment("demo");
  assert.deepEqual(await demo.requests(), []);
  assert.deepEqual(await demo.faults.list(), []);
  await demo.faults.add("503 times=5");
  await demo.crash();
});

test("what the one before broke is whole", async () => {
  const demo = sandbox.deployments.demo;
  await demo.waitUntilReady();
  assert.equal((await chat(demo)).status, 200);
  assert.deepEqual((await demo.requests({ path: "/v1/chat/completions" })).map((one) => one.status), [200]);
});

test("faults and canned answers", async () => {
  const demo = sandbox.deployment();
  await demo.faults.add({ fault: "429", times: 1 });
  await demo.answers.add({ text: "It is sunny.", when: { contains: "hello" } });
  assert.equal((await chat(demo)).status, 429);
  assert.equal((await (await chat(demo)).json()).choices[0].message.content, "It is sunny.");
});

test("a client that leaves is seen", async () => {
  const slow = sandbox.deployment("slow");
  const leaving = new AbortController();
  const streamed = JSON.stringify({ messages: [{ role: "user", content: "Go on." }], stream: true });
  const answer = await chat(slow, { body: streamed, signal: leaving.signal });
  await answer.body.getReader().read();
  leaving.abort();
  const [seen] = await slow.waitForRequests(1, { ended: "aborted" });
  assert.equal(seen.path, "/v1/chat/completions");
});

test("a wait in vain lists what came", async () => {
  const demo = sandbox.deployment();
  await chat(demo);
  await assert.rejects(demo.waitForRequests(2, { timeout: 0.1, path: "/v1/chat/completions" }), (error) => {
    assert.ok(error instanceof MockError);
    assert.equal(error.status, 408);
    assert.match(error.message, /1 of 2 requests came within 0.1 s.\n  POST \/v1\/chat\/completions: finished/);
    return true;
  });
});

test("llama-server's own endpoints, where they are enabled", async () => {
  const init = { method: "POST", headers: { "x-api-key": sandbox.key }, body: '{"prompt": "Once", "n_predict": 2}' };
  assert.equal((await fetch(`${sandbox.deployment("demo").baseUrl}/completion`, init)).status, 200);
  assert.equal((await fetch(`${sandbox.deployment("slow").baseUrl}/completion`, init)).status, 404);
});

describe("what goes wrong", () => {
  test("an option that there is not is told in the sandbox's own words", async () => {
    await assert.rejects(startSandbox({ deployments: { demo: { lod_seconds: {} } } }), /lod_seconds/);
  });

  test("a command that is not there", async () => {
    await assert.rejects(startSandbox({ bin: "/nowhere" }), /\/nowhere\/gguf-gateway is not there; pip install/);
  });

  test("a deployment that there is not", () => {
    assert.throws(() => sandbox.deployment("other"), /no deployment other in this sandbox, only demo,slow/);
  });
});
