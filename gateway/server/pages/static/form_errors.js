// What is wrong with a form calls its field as the form does, and the field says that it is wrong.
export function tellFields() {
  document.querySelectorAll("main [data-field]").forEach((wrong, number) => {
    const [path, ...places] = wrong.dataset.field.split(", ");
    const field = wrong.closest("form, tr, main").querySelector(`[name="${CSS.escape(path.split(".").pop())}"]`);
    if (!field) return;
    wrong.id = `wrong-${number}`;
    wrong.querySelector("b").textContent = [calledBy(field) ?? path, ...places].join(", ");
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", wrong.id);
  });
}

// A choice is one of a group, and that has the name.
function calledBy(field) {
  const group = field.type === "checkbox" && field.closest("fieldset")?.querySelector("legend");
  return field.ariaLabel ?? (group || field.labels[0])?.firstChild.textContent.trim();
}
