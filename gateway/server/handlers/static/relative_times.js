// Times on a page: absolute in the HTML, here kept relative, by the gateway's clock: the viewer's may be wrong.
const skew = Date.now() - Date.parse(document.documentElement.dataset.now);

function span(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

export function tellTimes(within) {
  for (const time of within.querySelectorAll("main time, section time")) {
    const seconds = (Date.now() - skew - Date.parse(time.dateTime)) / 1000;
    const text = "since" in time.dataset ? `for ${span(seconds)}` : seconds < -1 ? `in ${span(-seconds)}` : `${span(seconds)} ago`;
    if (time.textContent !== text) time.textContent = text;
    delete time.dataset.told; // what was painted until now
  }
}

tellTimes(document);
setInterval(() => tellTimes(document), 1000);
