// The builder of an audience: what is typed while the rows are drawn anew is not lost.

let typed = [];

function isRedraw({ target, requestConfig }) {
  // After a button the rows have other places; nobody types while pressing one.
  return target?.id === "rules" && !requestConfig.formData.get("action");
}

export function start() {
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (!isRedraw(event.detail)) return;
    const sent = event.detail.requestConfig.formData;
    typed = [...event.detail.target.querySelectorAll("input[id], select[id], textarea[id]")]
      .filter((field) => sent.get(field.name) !== null && sent.get(field.name).replaceAll("\r\n", "\n") !== field.value)
      .map((field) => ({ id: field.id, value: field.value }));
  });

  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (!isRedraw(event.detail)) return;
    for (const { id, value } of typed.splice(0)) {
      const field = document.getElementById(id);
      if (!field || (field.matches("select") && ![...field.options].some((option) => option.value === value))) continue;
      field.value = value;
      field.dispatchEvent(new Event(field.matches("select") ? "change" : "input", { bubbles: true }));
    }
  });
}
