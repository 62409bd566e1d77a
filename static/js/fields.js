// Text boxes: they grow with what is typed, and variables go in where the cursor was.

import { close } from "./dialogs.js";
import { announce, text } from "./texts.js";

const GROWS_BY_ITSELF = CSS.supports("field-sizing", "content");

/** The box whose insert button was used last, with its selection. */
let place = null;

function grow(box) {
  if (GROWS_BY_ITSELF || !(box instanceof HTMLTextAreaElement)) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
}

function remember(box) {
  place = { id: box.id, start: box.selectionStart, end: box.selectionEnd };
}

/** Put the focus back to where it was in the box before the dialog. */
function restore() {
  const box = place && document.getElementById(place.id);
  if (!box) return null;
  box.focus();
  box.setSelectionRange(place.start, place.end);
  return box;
}

/** Insert words at the remembered cursor, as if typed, so that the browser's own undo takes them back. */
export function insert(words, id = "") {
  if (id && place?.id !== id) {
    const other = document.getElementById(id);
    if (other) place = { id, start: other.value.length, end: other.value.length };
  }
  const box = restore();
  if (!box) return;
  // Deprecated, yet the only way to keep the undo history of a text box.
  if (!document.execCommand("insertText", false, words)) {
    box.setRangeText(words, box.selectionStart, box.selectionEnd, "end");
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
  remember(box);
  grow(box);
  announce(text("inserted", { text: words }));
}

export function start() {
  const growAll = (root) => root.querySelectorAll("textarea").forEach(grow);
  growAll(document);
  document.body.addEventListener("htmx:afterSettle", (event) => growAll(event.detail.elt));
  document.addEventListener("input", (event) => grow(event.target));

  // The box loses its selection with its focus in some browsers, so it is kept all along.
  document.addEventListener("selectionchange", () => {
    const box = document.activeElement;
    if (box?.matches("textarea[data-variables], input[data-variables]")) remember(box);
  });

  // The last change of a selection may be told only after the box was left.
  document.addEventListener("focusout", (event) => {
    if (event.target.matches?.("textarea[data-variables], input[data-variables]")) remember(event.target);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-insert]");
    const box = button && document.getElementById(button.dataset.insert);
    if (box && place?.id !== box.id) place = { id: box.id, start: box.value.length, end: box.value.length };
  });

  // The dialog shows the sentence as it will be, so it is told where the cursor was.
  document.body.addEventListener("htmx:configRequest", (event) => {
    const box = event.detail.elt.matches?.("[data-insert]") && document.getElementById(event.detail.elt.dataset.insert);
    if (box && place?.id === box.id) event.detail.parameters.cursor = place.start;
  });

  document.body.addEventListener("variable-insert", (event) => {
    const { text: words, field } = event.detail;
    for (const dialog of document.querySelectorAll("dialog[data-fill][open]")) close(dialog);
    insert(words, field);
  });

  // A variable that was renamed or removed in its dialog changes the text in every place.
  document.body.addEventListener("variable-replace", (event) => {
    const { field, from, to } = event.detail;
    for (const dialog of document.querySelectorAll("dialog[data-fill][open]")) close(dialog);
    const box = document.getElementById(field);
    if (!box || from === to) return;
    box.value = box.value.replaceAll(from, () => to);
    box.dispatchEvent(new Event("input", { bubbles: true }));
    box.focus();
  });

  // A variable is shown below its text only while the text holds it; an undo brings both back.
  const showChips = (box) => {
    const list = box.id && document.querySelector(`[data-chips="${CSS.escape(box.id)}"]`);
    if (!list) return;
    for (const chip of list.children) chip.hidden = !box.value.includes(chip.dataset.token);
    list.hidden = ![...list.children].some((chip) => !chip.hidden);
  };
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-variables]")) showChips(event.target);
  });
  document.body.addEventListener("htmx:oobAfterSwap", (event) => {
    const list = event.detail.target;
    const box = list?.dataset?.chips && document.getElementById(list.dataset.chips);
    if (box) requestAnimationFrame(() => showChips(box));
  });

  // The content template, filled with what is typed: {parameter} stands for its value.
  document.addEventListener("input", (event) => {
    if (!event.target.matches("[data-parameter]")) return;
    for (const place of event.target.form.querySelectorAll("[data-template]")) {
      let words = place.dataset.template;
      for (const box of event.target.form.querySelectorAll("[data-parameter]")) {
        if (box.value) words = words.replaceAll(`{${box.dataset.parameter}}`, () => box.value);
      }
      place.textContent = words;
    }
  });

  // What is renewed while one types rests while it is folded away.
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.matches("details:not([open]) [data-while-open]")) event.preventDefault();
  });

  // In the dialog: the name follows the source until somebody has typed another one.
  document.addEventListener("change", (event) => {
    const { names } = event.target.dataset ?? {};
    const name = names && event.target.form?.elements.namedItem("name");
    if (!name) return;
    const proposed = [...event.target.form.querySelectorAll("[data-names]")].map((one) => one.dataset.names);
    if (!name.value || proposed.includes(name.value)) name.value = names;
  });

  // <input data-filters="list id">: leaves the rows that hold what was typed; "list id-none" says that none does.
  document.addEventListener("input", (event) => {
    const list = event.target.dataset?.filters && document.getElementById(event.target.dataset.filters);
    if (!list) return;
    const wanted = event.target.value.trim().toLowerCase();
    const rows = [...list.querySelectorAll(".choice")];
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    list.hidden = rows.every((row) => row.hidden);
    document.getElementById(`${list.id}-none`).hidden = !list.hidden;
  });

  // Esc or Cancel in the dialog: back to the same cursor, not to the insert button.
  document.body.addEventListener("dialog-closed", () => {
    if (document.activeElement?.closest("[data-insert]")) restore();
  });

  // <input type="checkbox" data-ticks="name">: all boxes of that name in its form, or none of them.
  document.addEventListener("change", (event) => {
    const { form, dataset, checked } = event.target;
    const all = form?.querySelector("[data-ticks]");
    if (!all) return;
    const boxes = [...form.querySelectorAll(`[name="${CSS.escape(all.dataset.ticks)}"]`)];
    if (dataset.ticks) for (const box of boxes) box.checked = checked;
    const ticked = boxes.filter((box) => box.checked).length;
    all.checked = ticked === boxes.length;
    all.indeterminate = ticked > 0 && !all.checked;
  });

  // <div data-unless="select id" data-unless-value="…">: is asked unless that is chosen.
  document.addEventListener("change", (event) => {
    for (const asked of document.querySelectorAll(`[data-unless="${CSS.escape(event.target.id)}"]`))
      asked.hidden = event.target.value === asked.dataset.unlessValue;
  });

  // <select data-submits>, <input data-submits>: a filter that acts at once.
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submits]")) event.target.form?.requestSubmit();
  });
}
