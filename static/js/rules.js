// The builder of an audience: what is typed while the rows are drawn anew is not lost, nor on leaving.

import { text } from "./texts.js";
import { askBeforeLeaving, leaving, values } from "./unsaved.js";

const form = document.getElementById("rules-form");

let typed = [];
/** The form's values as they are saved; null when these never were (422, 409). */
const saved = form && form.dataset.unsaved === undefined ? values(form) : null;
let isLeaving = false;

function isChanged() {
  return Boolean(form) && !isLeaving && values(form) !== saved;
}

function isRedraw({ target, requestConfig }) {
  // After a button the rows have other places; nobody types while pressing one.
  return target?.id === "rules" && !requestConfig.formData.get("action");
}

/** Save, and go on to where the link leads; what is refused is shown here. */
function saveAndGo(link) {
  form.querySelector("[name=then]")?.remove();
  const then = Object.assign(document.createElement("input"), { type: "hidden", name: "then", value: link.href });
  form.append(then);
  form.requestSubmit();
}

async function leave(link) {
  const answer = await askBeforeLeaving(text("unsavedRules"), { canSave: true });
  if (answer === "save") saveAndGo(link);
  if (answer !== "discard") return;
  isLeaving = true;
  window.location.assign(link.href);
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

  if (!form) return;

  document.addEventListener("click", (event) => {
    const link = leaving(event);
    if (!link || !isChanged()) return;
    event.preventDefault();
    leave(link);
  });

  // Saved: the answer leads on. What is refused, or does not arrive, is still here.
  document.body.addEventListener("htmx:beforeOnLoad", (event) => {
    const { elt, xhr } = event.detail;
    if (elt === form) isLeaving = Boolean(xhr.getResponseHeader("HX-Redirect"));
  });

  // Whoever goes on typing after a save that failed wants to stay.
  form.addEventListener("input", () => form.querySelector("[name=then]")?.remove());

  window.addEventListener("pageshow", (event) => {
    if (event.persisted) isLeaving = false;
  });

  window.addEventListener("beforeunload", (event) => {
    if (isChanged()) event.preventDefault();
  });
}
