// For Vitest: `const sandbox = useSandbox()` at the top of a file, or in a `describe`.
import { afterAll, beforeAll, beforeEach } from "vitest";
import { hooked } from "./hooks.js";

export const { useSandbox, useMock } = hooked({ beforeAll, beforeEach, afterAll });
