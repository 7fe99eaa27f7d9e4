// For Vitest: `const sandbox = useSandbox()` at the top of a file, or in a `describe`.
import { afterAll, beforeAll, beforeEach } from "vitest";
import { hooked } from "./hooks.js";

const START_MS = 60_000; // Vitest's own 10 s are short for a busy CI machine

export const { useSandbox, useMock } = hooked({
  beforeAll: (start) => beforeAll(start, START_MS),
  beforeEach,
  afterAll,
});
