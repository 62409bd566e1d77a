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

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-insert]");
    const box = button && document.getElementById(button.dataset.insert);
    if (box && place?.id !== box.id) place = { id: box.id, start: box.value.length, end: box.value.length };
  });

  document.body.addEventListener("variable-insert", (event) => {
    const { text: words, field } = event.detail;
    for (const dialog of document.querySelectorAll("dialog[data-fill][open]")) close(dialog);
    insert(words, field);
  });

  // Esc or Cancel in the dialog: back to the same cursor, not to the insert button.
  document.body.addEventListener("dialog-closed", () => {
    if (document.activeElement?.closest("[data-insert]")) restore();
  });

  // <select data-submits>, <input data-submits>: a filter that acts at once.
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submits]")) event.target.form?.requestSubmit();
  });
}
