// For node:test: `const sandbox = useSandbox()` at the top of a file, or in a `describe`.
import { after, before, beforeEach } from "node:test";
import { hooked } from "./hooks.js";

export const { useSandbox, useMock } = hooked({ beforeAll: before, beforeEach, afterAll: after });
