// What docs/guide/other-languages.md shows, with a client that it can be shown on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { useSandbox } from "gguf-gateway/node-test";

const sandbox = useSandbox({ deployments: { demo: { tps: 100, endless: true } } });

test("my client tries again", async () => {
  const demo = sandbox.deployment();
  await demo.faults.add("503 times=1");
  await myClient(demo.openaiBaseUrl, sandbox.key);
  assert.deepEqual((await demo.requests()).map((request) => request.status), [503, 200]);
});

async function myClient(url, key) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const body = JSON.stringify({ messages: [{ role: "user", content: "Say hello." }], max_tokens: 4 });
  const answer = await fetch(`${url}/chat/completions`, { method: "POST", headers, body });
  return answer.ok ? await answer.json() : await myClient(url, key);
}
