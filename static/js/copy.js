// <button data-copy="#element"> or data-copy-text="…": the button says "Copied" for two seconds.

import { announce, text } from "./texts.js";

const SHOWN_MS = 2_000;

export function start() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-text]");
    if (!button) return;
    const source = button.dataset.copy && document.querySelector(button.dataset.copy);
    const words = button.dataset.copyText ?? source?.value ?? source?.textContent ?? "";
    try {
      await navigator.clipboard.writeText(words);
    } catch {
      // Without a secure address there is no clipboard: select the text, so that Ctrl+C takes it.
      if (source) getSelection().selectAllChildren(source);
      return;
    }
    announce(text("copied"));
    const label = button.querySelector("[data-label]");
    if (!label || button.dataset.was !== undefined) return;
    button.dataset.was = label.textContent;
    label.textContent = text("copied");
    setTimeout(() => {
      label.textContent = button.dataset.was;
      delete button.dataset.was;
    }, SHOWN_MS);
  });
}
