// What the pages need beside htmx: copying, times, and a question before what cuts somebody off.
import "./clipboard.js";
import { labels } from "./fitting.js";
import { tellFields } from "./form_errors.js";
import { newsSince } from "./live.js";
import { isSignedOut, tellNotDone, tellSignedOut, unsay } from "./not_done.js";
import { focusNear, placeOf } from "./place.js";
import { tellTimes } from "./relative_times.js";
import "./typed.js";

document.documentElement.classList.add("js");
tellFields();
document.addEventListener("htmx:afterSwap", () => {
  window.htmx.process(document.body); // at once: a form that is sent before htmx settles would be sent as a plain one
  tellTimes(document);
  tellFields();
  if (document.getElementById("playground")) import("./playground.js"); // it begins by itself, this time and later
});

// A <dialog> asks before its form is sent; without this script the form stands open on the page. An Enter held down for
// too long answers with what changes nothing.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) ask(document.getElementById(opener.dataset.opens));
  if (event.target.closest("[data-closes]")) event.target.closest("dialog").close();
});

function ask(dialog) {
  dialog.showModal();
  dialog.querySelector("[data-closes]").focus();
}

// A page is asked for by a link or a form. Who asks for another before it is there wants that one: an answer that was
// overtaken would come in place of a page of another address.
let asked = { xhr: null, near: [], says: new Map(), top: 0 };
document.addEventListener("htmx:beforeRequest", ({ detail }) => {
  if (!detail.boosted) return;
  const near = detail.requestConfig.verb === "post" ? placeOf(detail.elt) : [];
  asked = { xhr: detail.xhr, near, says: labels(document.getElementById("live")), top: scrollY };
});

// A page that came in place of another is read from what is new on it; else, after something was done in a row of it,
// from that row, which stays where it was; else from its beginning. What is wrong with a form has the focus already
// (autofocus), and is seen, wherever the form stands: htmx then shows the beginning of the page.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target !== document.body) return;
  setTimeout(sayWhatWasDone, 200); // what is said with a page that has just come, nobody hears
  const focused = document.activeElement;
  if (focused !== document.body) return queueMicrotask(() => focused.scrollIntoView({ block: "nearest" }));
  const made = document.getElementById("made");
  if (made || !asked.near.length) return (made ?? document.getElementById("main")).focus({ preventScroll: true });
  queueMicrotask(() => {
    scrollTo(0, asked.top);
    focusNear(asked.near, document.getElementById("main"));
  });
});

// Who goes back comes to where they were: htmx has the page loaded anew (refreshOnHistoryMiss), and the browser knows only
// how far down the page is that was left. The place stands in the entry of the history; htmx takes it out of there before
// the page is loaded, so it goes along in the tab's own storage.
document.addEventListener("htmx:beforeHistoryUpdate", () => history.replaceState({ ...history.state, top: scrollY }, ""));
addEventListener("popstate", ({ state }) => {
  if (!state?.top) return;
  sessionStorage.setItem("top", state.top);
  history.scrollRestoration = "manual";
});

function goToPlace() {
  const top = sessionStorage.getItem("top");
  if (top === null) return;
  sessionStorage.removeItem("top");
  scrollTo(0, Number(top));
  addEventListener("load", () => setTimeout(letBrowserScroll)); // after the browser's own
}

function letBrowserScroll() {
  if (sessionStorage.getItem("top") === null) history.scrollRestoration = "auto"; // else somebody is on the way back again
}

goToPlace();

function sayWhatWasDone() {
  const done = document.querySelector(".done-line")?.textContent;
  const news = asked.near.length ? newsSince(asked.says) : [];
  if (done || news.length) document.getElementById("said").textContent = done ?? news.join(". ");
}

// What was written stays on the page where the gateway cannot be reached, or refuses in JSON, or where the session has
// ended, and the page says so.
const UNREACHABLE = "The gateway cannot be reached.";
document.addEventListener("htmx:sendError", () => tellNotDone(UNREACHABLE));
document.addEventListener("htmx:beforeRequest", () => unsay("form", "session"));
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, requestConfig, boosted } = event.detail;
  if (boosted && xhr !== asked.xhr) {
    event.detail.shouldSwap = false;
    return;
  }
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
