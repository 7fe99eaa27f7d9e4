// A command that says when it is ready, and ends when its standard input does: with us, even if we are killed.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

const STOP_MS = 5000;
const LINES_KEPT = 20;

/** `loadSeconds` as an option's name: `load-seconds`. */
export const kebab = (name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** `{ tps: 20, loadSeconds: 1, endless: true }` as the words of a command line. */
export function words(options) {
  return Object.entries(options).flatMap(([option, value]) => {
    const name = `--${kebab(option)}`;
    const values = [value].flat().filter((one) => one !== false && one !== undefined);
    return values.map((one) => (one === true ? name : `${name}=${one}`));
  });
}

/** Ours, without the variables that would set the options of any llama-server: its key, its host and the like. */
function environment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("LLAMA_")));
}

/** The process, and the line of its standard output that `isReady` accepts. Rejects with its last words. */
export async function startProcess(command, options, bin = process.env.GGUF_GATEWAY_BIN, isReady) {
  const child = spawn(bin ? join(bin, command) : command, options, { stdio: ["pipe", "pipe", "pipe"], env: environment() });
  const said = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    said.push(line);
    said.splice(0, said.length - LINES_KEPT);
  });
  child.stdin.on("error", () => {}); // it has ended before us
  const line = await ready(child, isReady).catch((error) => {
    if (error.code !== "ENOENT") throw new Error([`${command}: ${error.message}`, ...said].join("\n"));
    throw new Error(`${error.path} is not there; pip install gguf-gateway, or say where it is with GGUF_GATEWAY_BIN`);
  });
  for (const one of [child, child.stdin, child.stdout, child.stderr]) one.unref(); // whoever forgets stop() may end
  return [{ stop: () => stop(child) }, line];
}

function ready(child, isReady) {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`ended with ${code} before it was ready`)));
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => isReady(line) && resolve(line)); // the rest is read, so that it never stands still
  });
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.ref();
  const exit = once(child, "exit");
  child.stdin.end();
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await exit;
  clearTimeout(timer);
}
