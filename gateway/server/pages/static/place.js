// Where the focus goes when what had it is gone: near to where it was. At the top of the page, who works by keyboard or
// hears the page would have to begin anew.
const ROWS = "main :is(tr, li, .card)[id]";

// What an element stands in, and then its neighbours, those after it first: their ids, which outlive the elements.
export function placeOf(element) {
  const own = element.closest(ROWS);
  if (!own) return [];
  const all = [...own.parentElement.children].filter((one) => one.matches(ROWS));
  const here = all.indexOf(own);
  return [...all.slice(here), ...all.slice(0, here).reverse()].map((one) => one.id);
}

// Nothing is done by Enter there: what can be done there may be another thing than it was.
export function focusNear(ids, otherwise) {
  const there = ids.map((id) => document.getElementById(id)).find(Boolean) ?? otherwise;
  if (!there) return;
  there.tabIndex = -1;
  there.focus();
}
