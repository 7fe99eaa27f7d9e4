// The playground: a chat with a deployment, streamed through the relay with a key that this page alone has.
// What a model says is text, and becomes nothing else: no HTML is ever made of it.
import { codeOf } from "./playground_code.js";
import { bodyOf, eventsOf, meaningOf, pathOf } from "./playground_stream.js";
import { keep, typed } from "./typed.js";

let root = null; // the playground that is on the page
const byId = (id) => root.querySelector(`#${id}`);
const SHOWN_EVENTS = 1000;
const LINE = 24; // pixels: so near to its end is at its end
const EARLIER = 60_000; // ms before its end at which a key is replaced
const SETTINGS = ["protocol", "temperature", "max_tokens", "system"];
const KEY_TRIES = 10; // another process of the gateway may know a new key a little later

const ADVICE = {
  401: "The key of this page has ended. Try again: the page gets another one.",
  404:
    "The deployment is gone, does not offer this protocol, or is none of your accounts' any more. " +
    "Load this page anew to see which there are.",
  413: "Say less, or begin anew.",
  429: "Wait a moment, and try again.",
  502: "Try again in a moment.",
  503: "Try again in a moment; if it is paused, an admin can resume it under Deployments.",
};

const BROKE_OFF = `The answer broke off before its end.\n${ADVICE[502]}`;

let key = null; // {id, key, deployment, expires_at, pages, opens}
let messages = [];
let running = null; // an AbortController
let untaken = ""; // a question that was sent, and that nobody has begun to answer
let typedFor = ""; // the deployment that the draft is for

function wantedNow() {
  const temperature = byId("temperature").value;
  return {
    deployment: byId("deployment").value,
    protocol: byId("protocol").value,
    system: byId("system").value.trim(),
    temperature: temperature === "" ? null : Number(temperature),
    maxTokens: Number(byId("max_tokens").value) || 512,
    messages,
  };
}

// --- the key

async function keyFor(deployment, signal) {
  if (key?.deployment === deployment && Date.parse(key.expires_at) - Date.now() > EARLIER) return key;
  leaveKey();
  const { pages } = root.dataset;
  const answer = await fetch(`${pages}/playground/keys`, {
    method: "POST",
    body: new URLSearchParams({ deployment }),
  });
  if (!answer.headers.get("Content-Type")?.startsWith("application/json"))
    throw new Problem("You are signed out. Sign in again in another tab, then try again.");
  const made = await answer.json();
  if (answer.status === 404) throw new Problem(`${made.error.message}\n${ADVICE[404]}`);
  if (!answer.ok) throw new Problem(made.error?.message ?? "The gateway gave this page no key.");
  const mine = { ...made, pages };
  if (signal.aborted) endKey(mine); // its page may be left, and another have a key of its own
  signal.throwIfAborted();
  leaveKey();
  return (key = mine);
}

function leaveKey() {
  if (key) endKey(key);
  key = null;
}

function endKey({ id, pages }) {
  navigator.sendBeacon(`${pages}/playground/keys/${id}/end`);
}

class Problem extends Error {}

// --- one answer

async function ask(wanted, signal) {
  for (let tries = 1; ; tries++) {
    signal.throwIfAborted(); // before a key is made for a page that was left
    const mine = await keyFor(wanted.deployment, signal);
    const answer = await fetch(root.dataset.relay + pathOf(wanted), {
      method: "POST",
      headers: { Authorization: `Bearer ${mine.key}`, "Content-Type": "application/json" },
      body: JSON.stringify(bodyOf(wanted)),
      credentials: "omit",
      signal,
    });
    if (answer.ok) {
      mine.opens = true;
      return answer;
    }
    if (answer.status === 401 && tries < KEY_TRIES) {
      if (mine.opens) leaveKey(); // no more: it ended with the sessions of who has it
      else await new Promise((resolve) => setTimeout(resolve, 100));
      continue;
    }
    if (answer.status === 401) leaveKey();
    throw new Problem(await wordsOf(answer));
  }
}

async function wordsOf(answer) {
  const text = await answer.text();
  let message = text.slice(0, 500);
  try {
    message = JSON.parse(text).error?.message ?? message;
  } catch {
    // a proxy's own words, as they are
  }
  const id = answer.headers.get("x-request-id");
  return `${answer.status}: ${message}\n${ADVICE[answer.status] ?? ""}${id ? `\nRequest ${id}` : ""}`;
}

async function run() {
  const wanted = wantedNow();
  const answer = bubble("assistant");
  const own = (running = new AbortController());
  begin();
  const figures = { sent: performance.now(), first: null, last: null, pieces: 0, in: null, out: null };
  let text = "";
  let end = "";
  let lost = "The gateway cannot be reached. Try again in a moment.";
  try {
    const response = await ask(wanted, own.signal);
    untaken = "";
    keepTyped();
    lost = BROKE_OFF; // its connection may be cut before the event that says why is read
    let isWhole = false;
    for await (const event of eventsOf(response.body)) {
      showEvent(event.raw);
      const { text: more, thought, usage, end: why, error, last } = meaningOf(event, wanted.protocol);
      if (error) throw new Problem(`The answer broke off: ${error}\n${ADVICE[502]}`);
      if (more || thought) note(figures);
      if (thought) answer.think(thought);
      if (more) {
        text += more;
        answer.say(more);
      }
      if (usage) Object.assign(figures, Object.fromEntries(Object.entries(usage).filter(([, value]) => value != null)));
      end = why ?? end;
      isWhole ||= Boolean(last);
      showFigures(figures, end);
    }
    if (!isWhole) throw new Problem(BROKE_OFF);
    say("The answer is complete.");
  } catch (error) {
    if (running !== own) return; // its page was left
    if (error.name === "AbortError") {
      end = "stopped";
      say("Stopped.");
    } else {
      end = "failed";
      problem(error instanceof Problem ? error.message : lost);
    }
  }
  showFigures(figures, end);
  if (text) messages.push({ role: "assistant", content: text });
  answer.done(Boolean(text));
  running = null;
  finish();
}

// The question is put anew. Of the answer that broke off nothing is sent: the model would go on in the middle of it.
function runAgain() {
  if (messages.at(-1)?.role === "assistant") messages.pop();
  byId("messages").querySelector(".assistant:last-child")?.remove();
  run();
}

function note(figures) {
  figures.last = performance.now();
  figures.first ??= figures.last;
  figures.pieces += 1;
}

// --- what is shown

function bubble(role) {
  byId("nothing").hidden = true;
  const whole = document.createElement("div");
  whole.className = `bubble ${role}`;
  const who = document.createElement("p");
  who.className = "hint";
  who.textContent = role === "user" ? "You" : byId("deployment").value;
  const body = document.createElement("p");
  body.className = "said";
  whole.append(who, body);
  byId("messages").append(whole);
  let thoughts = null;
  toEnd(byId("messages"));
  return {
    say(text) {
      atItsEnd(byId("messages"), () => body.append(text));
    },
    think(text) {
      if (!thoughts) {
        const details = document.createElement("details");
        const summary = document.createElement("summary");
        summary.textContent = "Thoughts";
        thoughts = document.createElement("p");
        thoughts.className = "said";
        details.append(summary, thoughts);
        body.before(details);
      }
      thoughts.append(text);
    },
    done(hasText) {
      if (!hasText && !thoughts) whole.remove();
    },
  };
}

function showEvent(raw) {
  const events = byId("events");
  atItsEnd(events, () => {
    if (events.childNodes.length >= SHOWN_EVENTS) events.firstChild.remove();
    events.append(raw + "\n\n");
  });
}

// What grows stays at its end, unless somebody has scrolled up to read.
function atItsEnd(box, grow) {
  const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < LINE;
  grow();
  if (isAtEnd) toEnd(box);
}

function toEnd(box) {
  box.scrollTo({ top: box.scrollHeight });
}

function showFigures(figures, end) {
  const out = figures.out ?? (figures.pieces || null);
  const seconds = (figures.last - figures.first) / 1000;
  byId("first-token").textContent = figures.first === null ? "–" : `${Math.round(figures.first - figures.sent)} ms`;
  byId("speed").textContent = out > 1 && seconds > 0 ? ((out - 1) / seconds).toFixed(1) : "–";
  byId("tokens-in").textContent = figures.in ?? "–";
  byId("tokens-out").textContent = out === null ? "–" : figures.out === null ? `about ${out}` : out;
  byId("ended").textContent = end || "–";
}

function problem(text) {
  byId("problem-text").textContent = text;
  byId("problem").hidden = false;
}

// What is hidden or disabled now has the focus no longer; nothing else that has it loses it.
function keepFocus() {
  if (["send", "stop", "again"].includes(document.activeElement.id)) byId("message").focus();
}

function begin() {
  keepFocus();
  byId("problem").hidden = true;
  byId("events").replaceChildren();
  byId("stop").disabled = false;
  byId("send").disabled = true;
  byId("clear").disabled = true;
}

function finish() {
  keepFocus();
  byId("stop").disabled = true;
  byId("send").disabled = false;
  byId("clear").disabled = false;
  showCode();
}

function say(words) {
  document.getElementById("said").textContent = words;
}

function showCode() {
  const draft = byId("message").value.trim();
  const asked = messages.slice(0, messages.findLastIndex((one) => one.role === "user") + 1);
  const said = draft || !asked.length ? [...messages, { role: "user", content: draft || "Say hello." }] : asked;
  const language = root.querySelector("input[name=language]:checked").value;
  const code = codeOf(language, root.dataset.relay, { ...wantedNow(), messages: said });
  byId("code").textContent = code;
  byId("copy-code").dataset.copy = code;
}

function offerProtocols() {
  const chosen = byId("deployment").selectedOptions[0];
  for (const option of byId("protocol").options) option.disabled = chosen.dataset[option.value] === "0";
  const enabled = [...byId("protocol").options].find((option) => !option.disabled);
  if (byId("protocol").selectedOptions[0].disabled && enabled) byId("protocol").value = enabled.value;
}

// --- what was typed: a draft for each deployment, and the settings

function keepTyped() {
  const drafts = new Map(typed().drafts);
  const text = byId("message").value || untaken;
  if (text) drafts.set(typedFor, text);
  else drafts.delete(typedFor);
  const settings = Object.fromEntries(SETTINGS.map((name) => [name, byId(name).value]));
  keep({ deployment: typedFor, drafts: [...drafts], settings });
}

// The deployment that the address names, or else the last one, if it is still there.
function putBack() {
  const { deployment: last, settings = {}, ...kept } = typed();
  const drafts = new Map(kept.drafts);
  const choice = byId("deployment");
  const isThere = (id) => [...choice.options].some((option) => option.value === id);
  choice.value = [new URLSearchParams(location.search).get("deployment"), last].find(isThere) ?? choice.value;
  typedFor = choice.value;
  for (const [name, value] of Object.entries(settings)) byId(name).value = value;
  byId("message").value = drafts.get(typedFor) ?? (isThere(last) ? "" : (drafts.get(last) ?? ""));
  offerProtocols();
  showCode();
}

// A draft goes along to another deployment, unless there is one for that already. A reload comes back to it.
function changeDeployment() {
  const chosen = byId("deployment").value;
  const drafts = new Map(typed().drafts);
  if (drafts.has(chosen)) byId("message").value = drafts.get(chosen);
  else drafts.delete(typedFor);
  keep({ drafts: [...drafts] });
  typedFor = chosen;
  history.replaceState(history.state, "", `?${new URLSearchParams({ deployment: chosen })}`);
  offerProtocols();
  keepTyped();
  showCode();
}

// --- what is done

function send(event) {
  event.preventDefault();
  const text = byId("message").value.trim();
  if (running || !text) return;
  if (messages.at(-1)?.role === "user") messages.pop(); // it was not answered
  messages.push({ role: "user", content: text });
  bubble("user").say(text);
  byId("message").value = "";
  untaken = text;
  keepTyped();
  run();
}

function start() {
  byId("ask").addEventListener("submit", send);
  for (const id of ["ask", "message"]) {
    byId(id).addEventListener("input", keepTyped);
    byId(id).addEventListener("input", showCode);
  }
  byId("deployment").addEventListener("change", changeDeployment);
  for (const one of root.querySelectorAll("input[name=language]")) one.addEventListener("change", showCode);
  byId("message").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!running) byId("ask").requestSubmit();
  });
  byId("stop").addEventListener("click", () => running?.abort());
  byId("again").addEventListener("click", () => running || runAgain());
  byId("clear").addEventListener("click", () => {
    messages = [];
    untaken = "";
    keepTyped();
    byId("messages").replaceChildren(byId("nothing"));
    byId("nothing").hidden = false;
    byId("problem").hidden = true;
    byId("events").replaceChildren();
    showFigures({ first: null, last: null, pieces: 0, in: null, out: null }, "");
    showCode();
    byId("message").focus();
  });
  putBack();
}

function leave() {
  running?.abort();
  running = null;
  messages = [];
  untaken = "";
  leaveKey();
}

// Pages come in place of one another within one document: a playground may be left, and another begun.
function arrive() {
  const found = document.getElementById("playground");
  if (found === root) return;
  if (root) leave();
  root = found;
  if (root) start();
}

// The bar's link to the page one is at would begin it anew: with a chat or a draft in it, it leads to the draft instead.
function stay(event) {
  const isElsewhere = event.ctrlKey || event.metaKey || event.shiftKey || !event.target.closest("nav [aria-current]");
  if (!root || isElsewhere || !(messages.length || byId("message").value.trim())) return;
  event.preventDefault();
  event.stopPropagation(); // or htmx would ask for the page
  byId("message").focus();
}

document.addEventListener("click", stay, { capture: true });
document.addEventListener("keydown", (event) => event.key === "Escape" && running?.abort());
document.addEventListener("htmx:afterSwap", arrive);
addEventListener("pagehide", leaveKey);
addEventListener("pageshow", ({ persisted }) => persisted && root && putBack()); // it may have been sent since
arrive();
