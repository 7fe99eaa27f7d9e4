// What a page says of what was not done: the gateway cannot be reached, refuses, or nobody is signed in any more. What
// was written on the page stays.

export function tellNotDone(why) {
  closeDialog();
  say("form", `${why} Nothing that you have written is lost; try again in a moment.`);
}

// Of a page that keeps itself current.
export function tellLost() {
  say("link", "The gateway cannot be reached. This page tries again by itself; nothing that you have written is lost.");
}

export function tellSignedOut() {
  const way = document.createElement("a");
  Object.assign(way, { href: line().dataset.signIn, target: "_blank", textContent: "Sign in again in another tab" });
  closeDialog();
  say("session", "You are signed out. ", way, ", then go on here: nothing that you have written is lost.");
}

// Whether an answer came from the page to sign in, to which who is signed out is led.
export function isSignedOut(url) {
  const { pathname, searchParams } = new URL(url, location.href);
  return pathname.endsWith("/sign-in") && searchParams.has("next");
}

export function hasUnsavedText() {
  return [...document.querySelectorAll("main :is(input, textarea)")].some((field) =>
    /checkbox|radio/.test(field.type) ? field.checked !== field.defaultChecked : field.value !== field.defaultValue,
  );
}

// Takes back what was said about any of these.
export function unsay(...abouts) {
  if (abouts.includes(line().dataset.about)) line().hidden = true;
}

const line = () => document.getElementById("lost");

function closeDialog() {
  document.querySelector("dialog[open]")?.close(); // it would cover the line, for all who see and all who hear
}

function say(about, ...words) {
  const said = document.createElement("span");
  said.append(...words);
  line().dataset.about = about;
  if (!line().hidden && line().textContent === said.textContent) return; // it is not read out again and again
  line().replaceChildren(said);
  line().hidden = false;
}
