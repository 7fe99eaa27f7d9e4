import type { MockOptions, MockServer, Sandbox, SandboxOptions } from "./index.js";

/** A sandbox from the first test to the last, as new before each. Call it at the top of a file, or in a `describe`. */
export declare function useSandbox(options?: SandboxOptions): Sandbox;
/** The same for a mock alone. */
export declare function useMock(options?: MockOptions & { bin?: string }): MockServer;
