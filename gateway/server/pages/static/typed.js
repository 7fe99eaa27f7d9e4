// What somebody has typed in the playground and not sent: in the tab's own storage, so that it outlives its page. It is
// theirs alone. It goes when they sign out, in whichever tab, and when somebody else is signed in in this one.
const NAME = "typed";
const tabs = new BroadcastChannel("signed-out");

// Who is signed in, by the page that is shown; undefined where it shows nobody.
const person = () => document.querySelector("form.who")?.dataset.person;

export function typed() {
  const kept = JSON.parse(sessionStorage.getItem(NAME) ?? "{}");
  return kept.person === person() ? kept : {};
}

export function keep(more) {
  try {
    sessionStorage.setItem(NAME, JSON.stringify({ ...typed(), ...more, person: person() }));
  } catch {
    // it is more than the storage takes, and what was there stays
  }
}

function forget() {
  tabs.postMessage(person());
  sessionStorage.removeItem(NAME);
}

tabs.addEventListener("message", ({ data }) => data === typed().person && sessionStorage.removeItem(NAME));

// A tab whose pages are somebody's holds at least their id: a page that the browser has kept whole (bfcache) sees by it
// that they have signed out since.
function arrive() {
  if (person()) keep({});
}

document.addEventListener("htmx:afterSwap", arrive);
addEventListener("pageshow", ({ persisted }) => persisted && person() && !typed().person && location.reload());
arrive();

// Who could not be signed out has lost nothing. A form that htmx does not send leads away from its document.
document.addEventListener("htmx:beforeOnLoad", ({ target, detail }) => {
  if (target.matches("form.who") && detail.xhr.status < 400) forget();
});
document.addEventListener("submit", (event) => event.target.matches("form.who") && !event.defaultPrevented && forget());
