// Requests to a control URL: JSON both ways; an error is one sentence, of a wait in vain with what was received.

/** What the control URL refuses, or a wait in vain. `status` 408 is the latter. */
export class MockError extends Error {
  constructor(status, { error, received = [] }) {
    super([error, ...received].join("\n  "));
    this.name = "MockError";
    this.status = status;
    this.received = received;
  }
}

export class Control {
  constructor(url) {
    this.url = url;
  }

  async ask(method, path, body) {
    const text = typeof body === "string" ? body : body && JSON.stringify(body);
    const answer = await fetch(`${this.url}/__mock__/${path}`, { method, body: text });
    const read = await answer.text();
    if (!answer.ok) throw new MockError(answer.status, asJson(read));
    return read ? JSON.parse(read) : undefined;
  }
}

/** A query of what is given; `undefined` is left out. */
export function query(path, values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

function asJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { error: text };
  }
}
