// Makes what stands in a page like what the server has drawn: what did not change keeps its focus and its selection.
const OURS = new Set(["open", "data-copied", "tabindex"]); // attributes that are set here, not by the server

export function fit(have, want) {
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

// What each card says, by its name: what has changed is announced.
export function labels(within) {
  const cards = within ? [within, ...within.querySelectorAll(".card")].filter((each) => each.matches(".card")) : [];
  return new Map(cards.map((card) => [card.dataset.name, card.dataset.says]));
}
