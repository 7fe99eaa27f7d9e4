// A sandbox or a mock for a file of tests: started before the first, as new before each, stopped after the last.
import { startMock, startSandbox } from "./index.js";

/** `hooks` are those of the test runner. What is returned is there from the first test on. */
export function hooked(hooks) {
  const use = (start) => (options) => {
    let started;
    hooks.beforeAll(async () => {
      started = await start(options);
    });
    hooks.beforeEach(async () => await started.reset());
    hooks.afterAll(async () => await started?.stop());
    return new Proxy(Object.create(null), {
      get(_, name) {
        if (!started) throw new Error(`${String(name)} is known once the tests run, not while they are collected`);
        const value = Reflect.get(started, name, started);
        return typeof value === "function" ? value.bind(started) : value;
      },
    });
  };
  return { useSandbox: use(startSandbox), useMock: use(startMock) };
}
