// A mock alone in node:test, and without hooks.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { promisify } from "node:util";
import { startMock } from "gguf-gateway";
import { useMock } from "gguf-gateway/node-test";

const mock = useMock({ clock: "virtual", alias: "small", fault: ["503 times=1", "429 times=1"] });

test("it answers, with the faults of its options before", async () => {
  const statuses = [];
  for (let asked = 0; asked < 3; asked++) statuses.push((await fetch(`${mock.openaiBaseUrl}/models`)).status);
  assert.deepEqual(statuses, [503, 429, 200]);
});

test("virtual time and scenarios", async () => {
  await mock.faults.clear();
  await mock.play([{ at: 0, state: "deploying" }, { at: 60, state: "ready" }]);
  assert.equal((await fetch(`${mock.url}/health`)).status, 503);
  await mock.advance(60);
  await mock.waitUntilReady();
  assert.equal((await fetch(`${mock.url}/health`)).status, 200);
});

test("one that is started by hand, and stopped", async () => {
  const other = await startMock({ loadSeconds: 60, state: "deploying" });
  assert.equal((await other.state()).state, "deploying");
  await other.stop();
  await other.stop();
  await assert.rejects(fetch(`${other.url}/health`));
});

test("variables of one's own llama-server are not for it", async () => {
  process.env.LLAMA_API_KEY = "mine";
  const other = await startMock();
  delete process.env.LLAMA_API_KEY;
  assert.equal((await fetch(`${other.openaiBaseUrl}/models`)).status, 200);
  await other.stop();
});

test("a program that forgets to stop it ends all the same", async () => {
  const forgetful = `import { startMock } from "gguf-gateway"; console.log((await startMock()).url);`;
  const here = fileURLToPath(new URL("..", import.meta.url));
  const options = { cwd: here, timeout: 20_000 };
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", forgetful], options);
  assert.match(stdout, /^http:\/\/127\.0\.0\.1:\d+\n$/);
});
