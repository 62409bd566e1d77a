// What was typed and not saved: whoever is about to leave it is asked first.

import { ask } from "./dialogs.js";
import { text } from "./texts.js";

/** The values of a form, comparable. */
export function values(form) {
  const pairs = [...new FormData(form)].filter(([name]) => name !== "csrfmiddlewaretoken");
  return JSON.stringify(pairs.map(([name, value]) => [name, typeof value === "string" ? value : value.name]));
}

/** Resolves to "keep", "discard", "save", or "" when the question itself was left. */
export function askBeforeLeaving(body, { canSave }) {
  const choices = [
    { label: text("keepEditing"), value: "keep" },
    { label: text("discard"), value: "discard" },
  ];
  if (canSave) choices.push({ label: text("save"), value: "save", kind: "primary" });
  return ask({ title: text("unsavedTitle"), body, choices });
}

/** The link by which a click leaves this page in this tab; else null. */
export function leaving(event) {
  const link = event.target.closest("a[href]:not([href^='#'])");
  const plain = !event.defaultPrevented && event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;
  return link && plain && !link.target && !link.hasAttribute("download") ? link : null;
}
