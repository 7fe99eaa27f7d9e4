// Keeps the part of a page that says where it comes from (data-live) as it is in the gateway. What comes is fitted in,
// so that what did not change keeps its focus, its dialogs and its selection. The whole part comes each time: after a
// lost connection the first answer catches up.
import { fit, labels } from "./fitting.js";
import { hasUnsavedText, tellLost, tellSignedOut, unsay } from "./not_done.js";
import { focusNear, placeOf } from "./place.js";
import { tellTimes } from "./relative_times.js";

const EVERY = 2; // seconds, unless the part says otherwise (data-every)
const MOST_SAID = 5;
let known = { url: "", etag: "" };
let timer = 0;
let lookedAt = performance.now();
let swaps = 0; // of the whole page: what was asked for before one is older than what it shows

const place = () => document.querySelector("[data-live]");
const every = () => 1000 * (place()?.dataset.every ?? EVERY);

function lookLater() {
  clearTimeout(timer);
  timer = setTimeout(look, every());
}

function tell(state, words) {
  const link = document.getElementById("link");
  if (state === "lost") tellLost();
  else unsay("link", "session");
  document.documentElement.dataset.link = state;
  if (!link || link.dataset.link === state) return;
  link.dataset.link = state;
  document.getElementById("link-text").textContent = words;
}

// Fits in what has come, and returns what is news in it.
function show(html) {
  const have = document.getElementById("live");
  const want = new DOMParser().parseFromString(html, "text/html").getElementById("live");
  if (!have || !want) return [];
  const before = labels(have);
  const hadFocus = have.contains(document.activeElement);
  const near = placeOf(document.activeElement);
  const question = have.querySelector("dialog[open]");
  tellTimes(want);
  fit(have, want);
  window.htmx?.process(have); // links and forms that have come, and those that lead elsewhere now
  tellTimes(have);
  const news = newsSince(before);
  if (question && !question.isConnected) news.unshift(`${question.querySelector("h2").textContent} It is no longer there`);
  if (hadFocus && !have.contains(document.activeElement)) focusNear(near, place());
  return news;
}

function say(news) {
  if (news.length) document.getElementById("said").textContent = inShort(news).join(". ");
}

// Nobody listens to forty sentences about one llama-server that has gone, or one account.
function inShort(news) {
  return news.length <= MOST_SAID ? news : [...news.slice(0, MOST_SAID), `${news.length - MOST_SAID} more have changed`];
}

// What the cards say that they did not say before.
export function newsSince(before) {
  const now = labels(document.getElementById("live"));
  const changed = [...now].filter(([name, says]) => before.has(name) && before.get(name) !== says);
  const gone = [...before.keys()].filter((name) => !now.has(name));
  return [...changed.map(([name, says]) => `${name}: ${says}`), ...gone.map((name) => `${name}: no longer there`)];
}

async function look() {
  clearTimeout(timer);
  const url = place()?.dataset.live;
  if (url && !document.hidden) {
    lookedAt = performance.now();
    if (known.url !== url) known = { url, etag: "" };
    const before = swaps;
    try {
      const answer = await fetch(url, { headers: known.etag ? { "If-None-Match": known.etag } : {}, cache: "no-store" });
      if (answer.redirected) return leave();
      if (answer.status >= 500) throw new Error(answer.statusText);
      const html = await answer.text();
      const news = document.documentElement.dataset.link === "lost" ? ["The gateway is there again"] : [];
      if (answer.ok && swaps === before) {
        news.push(...show(html));
        known.etag = answer.headers.get("ETag") ?? "";
      }
      if (answer.status === 404 && swaps === before) location.reload(); // what the page is about is gone
      else tell("live", "Live");
      say(news);
    } catch {
      tell("lost", "Connection lost, trying again");
    }
  }
  lookLater();
}

// Nobody is signed in any more. What they were writing stays, and what they may not see goes.
function leave() {
  if (!hasUnsavedText()) return location.reload();
  document.getElementById("live").replaceChildren();
  known.etag = "";
  tellSignedOut();
  lookLater();
}

// Who comes back to the tab sees at once what is due, and no page is asked for more often than it wants.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && performance.now() - lookedAt >= every()) look();
});
window.addEventListener("online", look);
document.addEventListener("htmx:afterSettle", () => {
  swaps += 1;
  known.etag = "";
  lookedAt = performance.now();
  arrived();
  lookLater();
});

// The page itself has just come from the gateway.
function arrived() {
  tell("live", "Live");
}

arrived();
if (place()?.dataset.every) lookLater(); // its part costs more than others
else look();
