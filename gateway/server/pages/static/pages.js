// What the pages need beside htmx: copying, times, and a question before what cuts somebody off.
import "./clipboard.js";
import "./live.js";
import { tellTimes } from "./relative_times.js";

document.documentElement.classList.add("js");
document.addEventListener("htmx:afterSwap", () => tellTimes(document));

// A <dialog> asks before its form is sent; without this script the form stands open on the page.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
  if (event.target.closest("[data-closes]")) event.target.closest("dialog").close();
});

// A page that came in place of another is read from what is new on it, else from its beginning.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target !== document.body || document.activeElement !== document.body) return;
  (document.getElementById("made") ?? document.getElementById("main")).focus({ preventScroll: true });
});

// Where the gateway cannot be reached, what was written stays on the page, and the page says so.
document.addEventListener("htmx:sendError", () => lost(true));
document.addEventListener("htmx:afterOnLoad", () => lost(false));

function lost(is) {
  document.getElementById("lost").hidden = !is;
}
