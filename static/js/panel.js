// The step panel in #panel-slot: what was typed in it is never lost without a question.

import { focusStop } from "./canvas.js";
import { text } from "./texts.js";
import { askBeforeLeaving, leaving, values } from "./unsaved.js";

const slot = document.getElementById("panel-slot");

/** The form's values as the server last had them; null when it never had these (422, 409). */
let saved = null;
let opener = null;
/** What to do once a save has gone through. */
let afterSave = null;
/** Requests that the panel itself made: their answers redraw it, and what was typed stays unsaved. */
const own = new WeakSet();

function form() {
  return slot?.querySelector("form[data-guard]");
}

/** The key of the step that is open, or "". */
function openStep() {
  return slot?.querySelector("[data-step]")?.dataset.step ?? "";
}

/** Whether something was typed and not saved: in whatever is open, or in the panel of this step. */
export function isChanged(step = openStep()) {
  const element = form();
  return Boolean(element) && step === openStep() && values(element) !== saved;
}

/** What was typed is given up: nobody asks about it again. */
export function discard() {
  saved = form() ? values(form()) : null;
}

export function close() {
  if (!slot?.childElementCount) return;
  const key = openStep();
  slot.replaceChildren();
  saved = null;
  for (const node of document.querySelectorAll(".node.is-selected")) {
    node.classList.remove("is-selected");
    node.querySelector(".node-main")?.removeAttribute("aria-current");
  }
  const nodes = key ? document.querySelectorAll(`.node[data-step="${CSS.escape(key)}"] .node-main`) : [];
  const node = [...nodes].find((one) => one.getClientRects().length);
  const home = opener?.isConnected ? opener : node;
  if (home) home.focus();
  else focusStop();
  document.dispatchEvent(new CustomEvent("panel-closed"));
}

/** Run then() at once when nothing was changed, else after Save or Discard. */
export async function guard(then) {
  if (!isChanged()) {
    then();
    return;
  }
  // Without a submit button it has become read-only under the typist's hands.
  const canSave = Boolean(form().querySelector("[type=submit]"));
  const answer = await askBeforeLeaving(text("unsavedBody"), { canSave });
  if (answer === "discard") {
    discard();
    then();
  } else if (answer === "save") {
    afterSave = then;
    form().requestSubmit();
  }
}

export function start() {
  if (!slot) return;

  document.body.addEventListener("htmx:confirm", (event) => {
    const { elt, target, issueRequest } = event.detail;
    if (target !== slot || slot.contains(elt) || event.defaultPrevented) return;
    if (!isChanged()) return;
    event.preventDefault();
    guard(() => issueRequest(true));
  });

  document.body.addEventListener("htmx:beforeRequest", (event) => {
    const { elt, requestConfig, xhr } = event.detail;
    if (slot.contains(elt) && requestConfig.verb !== "get") own.add(xhr);
  });

  document.body.addEventListener("htmx:afterSwap", (event) => {
    const { target, xhr, requestConfig } = event.detail;
    if (requestConfig.elt.matches("[data-gives-up]") && xhr.status === 200) discard();
    if (target !== slot && !slot.contains(target)) return;
    if (!own.has(xhr)) {
      saved = form() ? values(form()) : null;
      opener = requestConfig.elt;
      const panel = slot.firstElementChild;
      const field = panel?.querySelector("[autofocus]") ?? panel?.querySelector("h2");
      if (field && !field.matches("input, select, textarea")) field.tabIndex = -1;
      field?.focus();
      mark(panel?.dataset.step);
      return;
    }
    if ([403, 409, 422].includes(xhr.status)) {
      saved = null;
      afterSave = null;
      slot.querySelector("[aria-invalid=true], .form-error [href], .notice[role=alert]")?.focus();
    } else if (document.activeElement === document.body) slot.querySelector(".notice[role=alert]")?.focus();
  });

  // A canvas that is drawn anew does not know which step is open, and that step may be gone.
  document.body.addEventListener("htmx:afterSettle", (event) => {
    const { elt } = event.detail;
    const step = openStep();
    if (!step || !elt.matches?.("[data-canvas]")) return;
    if (elt.querySelector(`.node[data-step="${CSS.escape(step)}"]`) || isChanged()) mark(step);
    else close();
  });

  // Whoever goes on typing after a save that failed wants to stay.
  slot.addEventListener("input", () => {
    afterSave = null;
  });

  document.body.addEventListener("htmx:afterRequest", (event) => {
    const { elt, xhr, successful } = event.detail;
    if (elt !== form() || !successful || xhr.status !== 204) return;
    saved = values(elt);
    const then = afterSave;
    afterSave = null;
    if (then) then();
    else if (!elt.hasAttribute("data-keep-open")) close();
  });

  document.body.addEventListener("panel-close", close);

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close-panel]")) {
      event.preventDefault();
      guard(close);
      return;
    }
    const link = leaving(event);
    if (link && isChanged()) {
      event.preventDefault();
      guard(() => window.location.assign(link.href));
    }
  });

  slot.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    if (document.querySelector(".menu:popover-open, dialog[open]")) return;
    event.preventDefault(); // The same key would close the question that it opens.
    guard(close);
  });

  window.addEventListener("beforeunload", (event) => {
    if (isChanged()) event.preventDefault();
  });
}

function mark(key) {
  for (const node of document.querySelectorAll(".node")) {
    const selected = Boolean(key) && node.dataset.step === key;
    node.classList.toggle("is-selected", selected);
    const button = node.querySelector(".node-main");
    if (selected) button?.setAttribute("aria-current", "true");
    else button?.removeAttribute("aria-current");
  }
}
