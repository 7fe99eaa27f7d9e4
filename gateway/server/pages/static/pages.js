// What the pages need beside htmx: copying, times, and a question before what cuts somebody off.
import "./clipboard.js";
import "./live.js";
import { isSignedOut, tellNotDone, tellSignedOut, unsay } from "./not_done.js";
import { tellTimes } from "./relative_times.js";

document.documentElement.classList.add("js");
document.addEventListener("htmx:afterSwap", () => {
  tellTimes(document);
  if (document.getElementById("playground")) import("./playground.js"); // it begins by itself, this time and later
});

// A <dialog> asks before its form is sent; without this script the form stands open on the page.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
  if (event.target.closest("[data-closes]")) event.target.closest("dialog").close();
});

// A page that came in place of another is read from what is new on it, else from its beginning. What is wrong with a form
// has the focus already (autofocus), and is seen, wherever the form stands: htmx then shows the beginning of the page.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target !== document.body) return;
  const focused = document.activeElement;
  if (focused !== document.body) return queueMicrotask(() => focused.scrollIntoView({ block: "nearest" }));
  (document.getElementById("made") ?? document.getElementById("main")).focus({ preventScroll: true });
});

// What was written stays on the page where the gateway cannot be reached, or refuses in JSON, or where the session has
// ended, and the page says so.
const UNREACHABLE = "The gateway cannot be reached.";
document.addEventListener("htmx:sendError", () => tellNotDone(UNREACHABLE));
document.addEventListener("htmx:beforeRequest", () => unsay("form", "session"));
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, requestConfig } = event.detail;
  if (requestConfig.verb === "post" && isSignedOut(xhr.responseURL)) {
    event.detail.shouldSwap = false;
    tellSignedOut();
  }
  if (!xhr.getResponseHeader("Content-Type")?.startsWith("application/json")) return;
  event.detail.shouldSwap = false;
  tellNotDone(refusalIn(xhr.responseText));
});

function refusalIn(text) {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return UNREACHABLE;
  }
}
