// A dialog or panel that is not there after 300 ms shows its outline until it is. Closing the outline aborts
// what was asked for.

import { close, focusFirst, open } from "./dialogs.js";
import { close as closePanel } from "./panel.js";

const WAIT_MS = 300;

/** What is being waited for: the target, who asked, and the clock. */
let waiting = null;

function isOutlined(target) {
  return target.hasAttribute("aria-busy");
}

function show({ target, elt }) {
  const isPanel = target.id === "panel-slot";
  const outline = document.getElementById(isPanel ? "outline-panel" : "outline-dialog");
  target.replaceChildren(outline.content.cloneNode(true));
  target.setAttribute("aria-busy", "true");
  if (isPanel) return;
  target.setAttribute("aria-labelledby", "outline-title");
  open(target, elt);
}

/** Wait no longer; whether the outline was shown. */
function settle() {
  const { target, clock } = waiting;
  clearTimeout(clock);
  waiting = null;
  const wasOutlined = isOutlined(target);
  target.removeAttribute("aria-busy");
  return wasOutlined;
}

export function start() {
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    const { elt, target } = event.detail;
    if (event.defaultPrevented || !target.matches("#panel-slot, dialog[data-fill]") || target.contains(elt)) return;
    if (waiting) settle();
    waiting = { target, elt, clock: setTimeout(() => show({ target, elt }), WAIT_MS) };
  });

  document.body.addEventListener("htmx:afterSwap", (event) => {
    const { target } = event.detail;
    if (waiting?.target === target && settle() && target.matches("dialog")) focusFirst(target);
  });

  // Nothing came.
  document.body.addEventListener("htmx:afterRequest", (event) => {
    const { elt } = event.detail;
    if (waiting?.elt !== elt) return;
    const { target } = waiting;
    if (!settle()) return;
    if (target.matches("dialog")) close(target);
    else closePanel();
  });

  const abort = () => {
    if (waiting && isOutlined(waiting.target)) window.htmx.trigger(waiting.elt, "htmx:abort");
  };
  document.addEventListener("panel-closed", abort);
  document.body.addEventListener("dialog-closed", abort);
}
