/** The options of `mock-llama-server`: `{ tps: 20, loadSeconds: 1, endless: true, fault: ["503 times=1"] }`. */
export type MockOptions = Record<string, string | number | boolean | string[]>;

export type State =
  "ready" | "deploying" | "paused" | "restarting" | "crashed" | "hung" | "sleeping" | "waking";

export type EndpointGroup = "openai" | "anthropic" | "native";

/** Seconds; `null`: until told otherwise. */
export interface Durations {
  loadSeconds?: number | null;
  downSeconds?: number | null;
  upSeconds?: number | null;
  wakeSeconds?: number;
}

/** A fault as a line, `"cut after_events=3 times=2"`, or as an object. */
export type Fault = string | ({ fault: string; times?: number; when?: When } & Record<string, unknown>);

/** A canned answer: its text, or an object. */
export type Answer =
  | string
  | {
      text?: string;
      file?: string;
      say?: "echo" | "lorem";
      words?: number;
      reasoning?: string;
      calls?: { name: string; arguments?: Record<string, unknown> }[];
      turns?: Record<string, unknown>[];
      when?: When;
      times?: number;
    };

export interface When {
  endpoint?: string;
  method?: string;
  model?: string;
  contains?: string;
  matches?: string;
  body_contains?: string;
  tool?: string;
  header?: string;
  stream?: boolean;
}

/** One request, and what became of it. */
export interface ReceivedRequest {
  id: number;
  method: string;
  path: string;
  headers: [string, string][];
  body: string;
  body_bytes: number;
  received_at: number;
  status: number | null;
  ended: "running" | "finished" | "aborted" | "cut";
  how: string;
  after_ms: number | null;
  bytes_sent: number;
  fault: string | null;
}

export interface RequestFilter {
  ended?: ReceivedRequest["ended"];
  method?: string;
  path?: string;
  status?: number;
  after?: number;
  /** Whether those for `/health` count, too: by default not for a sandbox's deployment, where they are the gateway's. */
  probes?: boolean;
}

export interface Rules<Rule> {
  add(rule: Rule): Promise<{ id: number } & Record<string, unknown>>;
  list(): Promise<({ id: number } & Record<string, unknown>)[]>;
  remove(id: number): Promise<void>;
  clear(): Promise<void>;
}

/** What a sandbox's deployment and a mock alone have in common. */
export interface Steered {
  readonly controlUrl: string;
  readonly faults: Rules<Fault>;
  readonly answers: Rules<Answer>;
  setState(state: State, durations?: Durations): Promise<Record<string, unknown>>;
  state(): Promise<{ state: State; phase: string; since_seconds: number } & Record<string, unknown>>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  restart(durations?: Pick<Durations, "downSeconds" | "loadSeconds">): Promise<void>;
  crash(): Promise<void>;
  hang(): Promise<void>;
  redeploy(durations?: Pick<Durations, "loadSeconds">): Promise<void>;
  waitUntilReady(timeout?: number): Promise<void>;
  /** A scenario, or the list that is its timeline. */
  play(scenario: Record<string, unknown> | Record<string, unknown>[]): Promise<Record<string, unknown>>;
  stopPlaying(): Promise<void>;
  advance(seconds: number): Promise<void>;
  requests(filter?: RequestFilter): Promise<ReceivedRequest[]>;
  /** Rejects with MockError 408, which lists what was received, after `timeout` seconds (5). */
  waitForRequests(count?: number, filter?: RequestFilter & { timeout?: number }): Promise<ReceivedRequest[]>;
  clearRequests(): Promise<void>;
  reset(): Promise<void>;
}

export interface Deployment extends Steered {
  readonly name: string;
  /** For Anthropic's SDK. */
  readonly baseUrl: string;
  /** For OpenAI's SDK: it ends in `/v1`. */
  readonly openaiBaseUrl: string;
}

export interface MockServer extends Steered {
  readonly url: string;
  readonly openaiBaseUrl: string;
  stop(): Promise<void>;
}

export interface Sandbox {
  /** Where the gateway listens. */
  readonly url: string;
  readonly controlUrl: string;
  readonly key: string;
  /** Those with a mock. */
  readonly deployments: Record<string, Deployment>;
  deployment(name?: string): Deployment;
  reset(): Promise<void>;
  stop(): Promise<void>;
}

export interface SandboxOptions {
  /** The deployments with the options of their mocks; one, `demo`, by default. */
  deployments?: Record<string, MockOptions & { endpoints?: EndpointGroup[] }>;
  /** A definition's file, in place of `deployments`, `key` and `server`. */
  config?: string;
  key?: string;
  /** The section `server` of the gateway's configuration. */
  server?: Record<string, unknown>;
  /** The folder of the commands; by default GGUF_GATEWAY_BIN, or else the PATH. */
  bin?: string;
}

export declare class MockError extends Error {
  readonly status: number;
  readonly received: string[];
}

export declare function startSandbox(options?: SandboxOptions): Promise<Sandbox>;
export declare function startMock(options?: MockOptions & { bin?: string }): Promise<MockServer>;
