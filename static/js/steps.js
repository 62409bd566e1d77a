// <a data-open-step="KEY" data-field="name"> leads to a step's panel on the canvas, and to a field in it.
// Elsewhere it is a plain link to the editor, whose address names the same: ?step=KEY&field=name.

import { close } from "./dialogs.js";

/** The field to go to once the panel of its step is there. */
let wanted = null;

function open(step, field = "") {
  wanted = { step, field };
  document.body.dispatchEvent(new CustomEvent("step-open", { detail: { step } }));
}

function go(panel) {
  const { step, field } = wanted;
  wanted = null;
  if (panel?.dataset.step !== step || !field) return;
  const boxes = [...panel.querySelectorAll(`[name="${CSS.escape(field)}"]:not([type=hidden])`)];
  const box = boxes.find((one) => one.checked) ?? boxes[0];
  box?.closest("details")?.setAttribute("open", "");
  box?.focus();
  box?.scrollIntoView({ block: "center" });
}

export function start() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-open-step]");
    if (!link || event.metaKey || event.ctrlKey || !document.querySelector("[data-canvas]")) return;
    event.preventDefault();
    const { openStep, field } = link.dataset;
    close(link.closest("dialog"));
    open(openStep, field);
  });

  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (wanted && event.detail.target?.id === "panel-slot") go(event.detail.target.firstElementChild);
  });

  // htmx knows the nodes of the page when everything is loaded.
  window.addEventListener("load", () => {
    const address = new URL(window.location.href);
    const step = address.searchParams.get("step");
    if (!step || !document.querySelector("[data-canvas]")) return;
    open(step, address.searchParams.get("field") ?? "");
    address.search = "";
    window.history.replaceState(null, "", address);
  });
}
