// Keeps the page as it is in the gateway. The HTML comes from the server, part by part; here it is only fitted in,
// so that what did not change keeps its focus and its selection.
import "./clipboard.js";
import { fit, labels } from "./fitting.js";
import { tellTimes } from "./relative_times.js";

const root = document.documentElement;
const said = document.getElementById("said");
root.classList.add("js");

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
