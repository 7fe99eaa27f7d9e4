// The buttons that copy what stands beside them. What came of it is said to screen readers in #said.
async function copy(button) {
  const done = await write(button.dataset.copy);
  say(done ? button.getAttribute("aria-label").replace("Copy", "Copied") : "Could not copy; select the text instead");
  if (!done) return;
  button.dataset.copied = "";
  clearTimeout(button.timer);
  button.timer = setTimeout(() => delete button.dataset.copied, 1800);
}

async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return writeOldWay(text); // there is no clipboard without HTTPS, except on localhost
  }
}

function writeOldWay(text) {
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return done;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.copy");
  if (button) copy(button);
});

function say(words) {
  document.getElementById("said").textContent = words;
}
