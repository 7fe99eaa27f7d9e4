// Keeps the page as it is in the gateway. The HTML comes from the server, part by part; here it is only fitted in,
// so that what did not change keeps its focus and its selection.
import "./clipboard.js";
import { tellTimes } from "./relative_times.js";

const root = document.documentElement;
const said = document.getElementById("said");
root.classList.add("js");

// --- fitting new HTML in -----------------------------------------------------------------------------------

const OURS = new Set(["open", "data-copied"]); // attributes that the viewer sets, not the server

function fit(have, want) {
  if (have.nodeType !== Node.ELEMENT_NODE) {
    if (have.data !== want.data) have.data = want.data;
    return;
  }
  for (const { name, value } of want.attributes) {
    if (have.getAttribute(name) !== value) have.setAttribute(name, value);
  }
  for (const { name } of [...have.attributes]) {
    if (!want.hasAttribute(name) && !OURS.has(name)) have.removeAttribute(name);
  }
  fitChildren(have, want);
}

function fitChildren(have, want) {
  const wanted = new Set([...want.children].map((child) => child.id).filter(Boolean));
  for (const child of [...have.children]) if (child.id && !wanted.has(child.id)) child.remove();
  const known = new Map([...have.children].filter((child) => child.id).map((child) => [child.id, child]));
  let next = have.firstChild;
  for (const child of [...want.childNodes]) {
    const kept = known.get(child.id);
    if (kept?.parentNode === have) while (next !== kept) next = removed(next);
    if (next && isSame(next, child)) {
      fit(next, child);
      next = next.nextSibling;
    } else {
      have.insertBefore(child, next);
    }
  }
  while (next) next = removed(next);
}

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function isSame(one, other) {
  return one.nodeName === other.nodeName && (one.id || "") === (other.id || "");
}

function labels(within) {
  const cards = within ? [within, ...within.querySelectorAll(".card")].filter((each) => each.matches(".card")) : [];
  return new Map(cards.map((card) => [card.dataset.name, card.dataset.says]));
}

function show(html) {
  const part = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
  const place = document.getElementById(part.id);
  const before = labels(place);
  tellTimes(part);
  if (place) fit(place, part);
  else putInOrder(part);
  if (part.dataset.title) document.title = part.dataset.title;
  const news = [...labels(place)].filter(([name, says]) => before.has(name) && before.get(name) !== says);
  if (news.length) say(news.map(([name, says]) => `${name}: ${says}`).join(". "));
}

function putInOrder(card) {
  const cards = document.querySelector(".cards");
  const next = [...cards.children].find((each) => each.dataset.name > card.dataset.name);
  cards.insertBefore(card, next ?? null);
}

function say(words) {
  said.textContent = words;
}

// --- the connection ----------------------------------------------------------------------------------------

const WORDS = { live: "Live", lost: "Connection lost, trying again" };

function setLink(state) {
  const link = document.getElementById("link");
  if (link.dataset.link === state) return;
  root.dataset.link = link.dataset.link = state;
  document.getElementById("link-text").textContent = WORDS[state];
}

function connect() {
  const source = new EventSource("events");
  source.addEventListener("open", () => setLink("live"));
  source.addEventListener("part", (event) => show(JSON.parse(event.data)));
  source.addEventListener("gone", (event) => {
    for (const id of JSON.parse(event.data)) document.getElementById(id)?.remove();
  });
  source.addEventListener("error", () => {
    setLink("lost");
    if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
    source.close();
    setTimeout(connect, 2000);
  });
}

document.title = document.getElementById("summary").dataset.title;
connect();
