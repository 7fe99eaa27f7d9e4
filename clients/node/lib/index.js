// Starts a sandbox, or a mock alone, as a process, and hands out what steers it.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Deployment, MockServer } from "./deployment.js";
import { kebab, startProcess, words } from "./process.js";

export { Deployment, MockServer } from "./deployment.js";
export { MockError } from "./control.js";

const KEY = "gw_sandbox_key_for_tests";

/** A gateway with mock llama-servers behind it. It ends with this process, or with `stop()`. */
export async function startSandbox({ deployments = { demo: {} }, config, key = KEY, server = {}, bin } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "gguf-sandbox-"));
  try {
    const file = config ?? (await writeDefinition(folder, deployments, key, server));
    const options = ["sandbox", "--config", file, "--port", "0", "--json", "--stop-with-stdin"];
    const [process, line] = await startProcess("gguf-gateway", options, bin, (text) => text.startsWith("{"));
    return new Sandbox(process, JSON.parse(line));
  } finally {
    await rm(folder, { recursive: true, force: true }); // it has been read
  }
}

/** A mock llama-server by itself; the options are those of `mock-llama-server`, as `{ tps: 20, endless: true }`. */
export async function startMock({ bin, ...options } = {}) {
  const urls = {};
  const command = ["--port", "0", ...words(options), "--stop-with-stdin"];
  const [process] = await startProcess("mock-llama-server", command, bin, (line) => {
    const [, name, url] = line.match(/^main: (\w+) is listening on (\S+)/) ?? [];
    if (name) urls[name] = url;
    return name === "server";
  });
  return new MockServer(urls.server, urls.control, process);
}

class Sandbox {
  #process;

  constructor(process, { url, control_url, key, deployments }) {
    this.#process = process;
    Object.assign(this, { url, controlUrl: control_url, key });
    const steered = Object.entries(deployments).filter(([, one]) => one.control_url);
    this.deployments = Object.fromEntries(steered.map(([name, one]) => [name, new Deployment(name, one)]));
  }

  /** The deployment of this name; without a name, the first. */
  deployment(name = Object.keys(this.deployments)[0]) {
    const found = this.deployments[name];
    if (!found) throw new Error(`no deployment ${name} in this sandbox, only ${Object.keys(this.deployments)}`);
    return found;
  }

  /** Every deployment ready, nothing received, no faults and answers but those of the start. */
  async reset() {
    await Promise.all(Object.values(this.deployments).map((one) => one.reset()));
  }

  async stop() {
    await this.#process.stop();
  }

  async [Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]() {
    await this.stop();
  }
}

async function writeDefinition(folder, deployments, key, server) {
  const entries = Object.entries(deployments).map(([name, { endpoints, ...mock }]) => {
    const options = Object.fromEntries(Object.entries(mock).map(([option, value]) => [kebab(option), value]));
    return [name, { account: "tests", mock: options, ...(endpoints && { endpoints }) }];
  });
  const accounts = { tests: { keys: [{ name: "tests", key }] } };
  const file = join(folder, "sandbox.yaml");
  await writeFile(file, JSON.stringify({ server, accounts, deployments: Object.fromEntries(entries) }), { mode: 0o600 });
  return file; // JSON is YAML
}
