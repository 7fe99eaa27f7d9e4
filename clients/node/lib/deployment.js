// One deployment of a sandbox, or a mock alone: each change in one line, and true when the line returns.
import { Control, query } from "./control.js";

/** Faults, or canned answers: a list on the control port. */
class Rules {
  #control;
  #name;

  constructor(control, name) {
    this.#control = control;
    this.#name = name;
  }

  /** A line as `"cut after_events=3 times=2"`, or an object. */
  async add(rule) {
    return await this.#control.ask("POST", this.#name, rule);
  }

  async list() {
    return (await this.#control.ask("GET", this.#name))[this.#name];
  }

  async remove(id) {
    await this.#control.ask("DELETE", `${this.#name}/${id}`);
  }

  async clear() {
    await this.#control.ask("DELETE", this.#name);
  }
}

/** What a sandbox's deployment and a mock alone have in common. Durations are seconds; `null`: until told otherwise. */
class Steered {
  constructor(controlUrl) {
    this.controlUrl = controlUrl;
    this.control = new Control(controlUrl);
    this.faults = new Rules(this.control, "faults");
    this.answers = new Rules(this.control, "answers");
  }

  /** `setState("restarting", { downSeconds: 1 })`. */
  async setState(state, { loadSeconds, downSeconds, upSeconds, wakeSeconds } = {}) {
    const seconds = { load_seconds: loadSeconds, down_seconds: downSeconds };
    return await this.control.ask("PUT", "state", { state, ...seconds, up_seconds: upSeconds, wake_seconds: wakeSeconds });
  }

  async state() {
    return await this.control.ask("GET", "state");
  }

  async pause() {
    await this.setState("paused");
  }

  async resume() {
    await this.setState("ready");
  }

  async restart({ downSeconds = 1, loadSeconds = 0 } = {}) {
    await this.setState("restarting", { downSeconds, loadSeconds });
  }

  async crash() {
    await this.setState("crashed");
  }

  async hang() {
    await this.setState("hung");
  }

  async redeploy({ loadSeconds = 1 } = {}) {
    await this.setState("deploying", { loadSeconds });
  }

  async waitUntilReady(timeout = 10) {
    await this.control.ask("GET", query("state/wait", { state: "ready", timeout }));
  }

  async play(scenario) {
    return await this.control.ask("POST", "scenario", Array.isArray(scenario) ? { timeline: scenario } : scenario);
  }

  async stopPlaying() {
    await this.control.ask("DELETE", "scenario");
  }

  /** Let virtual time pass (`clock: "virtual"`), and return when what is due in it has happened. */
  async advance(seconds) {
    await this.control.ask("POST", "clock", { advance_seconds: seconds });
  }

  /** What was received, oldest first: `{ ended, method, path, status, after }` select. */
  async requests(filter = {}) {
    return (await this.control.ask("GET", query("requests", filter))).requests;
  }

  /** Returns once so many match. Rejects with MockError 408, which lists what was received. */
  async waitForRequests(count = 1, { timeout = 5, ...filter } = {}) {
    return (await this.control.ask("GET", query("requests/wait", { count, timeout, ...filter }))).requests;
  }

  async clearRequests() {
    await this.control.ask("DELETE", "requests");
  }

  async reset() {
    await this.control.ask("POST", "reset");
  }
}

/** A deployment of a sandbox; a change holds for clients of the gateway when it returns. */
export class Deployment extends Steered {
  constructor(name, { base_url, openai_base_url, control_url }) {
    super(control_url);
    this.name = name;
    this.baseUrl = base_url;
    this.openaiBaseUrl = openai_base_url;
  }

  /** Without the gateway's own, of `/health`. */
  async requests(filter = {}) {
    return await super.requests({ probes: false, ...filter });
  }

  async waitForRequests(count = 1, filter = {}) {
    return await super.waitForRequests(count, { probes: false, ...filter });
  }
}

/** A mock llama-server with no gateway before it. */
export class MockServer extends Steered {
  #process;

  constructor(url, controlUrl, process) {
    super(controlUrl);
    this.#process = process;
    this.url = url;
    this.openaiBaseUrl = `${url}/v1`;
  }

  async stop() {
    await this.#process.stop();
  }

  async [Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]() {
    await this.stop();
  }
}
