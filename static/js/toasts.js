// Short messages: success goes after 5 s (10 s with Undo), an error stays until it is closed.
// The server sends HX-Trigger: {"toast": {"text": "…", "tone": "success|info|error", "undo": "/url/"}};
// toasts rendered by the page itself (includes/_toast.html) behave the same.

import { announce, icon, text } from "./texts.js";

const SECONDS = 5;
const SECONDS_WITH_UNDO = 10;
const FOOTERS = ".panel-footer, dialog[open] .dialog-footer, .sheet-zone";
const GAP = 8;
const ICONS = { success: "circle-check", info: "info-circle", error: "alert-circle" };
const region = document.getElementById("toasts");

/** Addresses that take back what was done on this page, the latest last; they outlive their toasts. */
const undoable = [];
let undoing = Promise.resolve();

export function toast({ text: words, tone = "success", undo = "", retry = null, link = null }) {
  const box = document.createElement("div");
  box.className = `toast toast-${tone}`;
  if (tone === "error") box.setAttribute("role", "alert");
  const sentence = document.createElement("span");
  sentence.className = "toast-text";
  sentence.textContent = words;
  box.append(icon(ICONS[tone] ?? ICONS.info), sentence);
  if (undo) {
    const button = action(text("undo"));
    button.dataset.undo = undo;
    box.append(button);
    undoable.push(undo);
  }
  if (link) {
    const away = document.createElement("a");
    Object.assign(away, { className: "button button-link", textContent: link.label, href: link.url, target: "_blank" });
    box.append(away);
  }
  if (retry) {
    const button = action(text("tryAgain"));
    button.addEventListener("click", () => {
      box.remove();
      retry();
    });
    box.append(button);
  }
  const closer = document.createElement("button");
  closer.type = "button";
  closer.className = "button button-icon";
  closer.dataset.closeToast = "";
  closer.title = text("close");
  closer.setAttribute("aria-label", text("close"));
  closer.append(icon("x"));
  box.append(closer);
  region.append(box);
  offerUndo();
  raise();
  leave(box);
  if (tone !== "error") announce(words);
  return box;
}

function action(label) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button button-link";
  button.textContent = label;
  return button;
}

/** Put the region above an open dialog: the top layer shows what came last on top. */
function raise() {
  if (!region.showPopover) return;
  if (region.matches(":popover-open")) region.hidePopover();
  if (region.childElementCount) region.showPopover();
  lift();
}

/** Keep clear of the buttons at the end of what is open, wherever its end is. */
function lift() {
  region.style.bottom = "";
  if (!region.childElementCount) return;
  const own = region.getBoundingClientRect();
  const covered = [...document.querySelectorAll(FOOTERS)]
    .filter((footer) => footer.checkVisibility())
    .map((footer) => footer.getBoundingClientRect())
    .filter(({ left, right, top, bottom }) => left < own.right && right > own.left && top < own.bottom && bottom > own.top);
  if (covered.length) region.style.bottom = `${innerHeight - Math.min(...covered.map(({ top }) => top)) + GAP}px`;
}

/** Remove a toast in time; the clock stands while it is pointed at or has the focus. */
function leave(box) {
  if (box.classList.contains("toast-error")) return;
  const seconds = box.querySelector("[data-undo]") ? SECONDS_WITH_UNDO : SECONDS;
  let timer = 0;
  const run = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      box.remove();
      if (!region.childElementCount && region.matches(":popover-open")) region.hidePopover();
    }, seconds * 1000);
  };
  const hold = () => clearTimeout(timer);
  box.addEventListener("pointerenter", hold);
  box.addEventListener("pointerleave", run);
  box.addEventListener("focusin", hold);
  box.addEventListener("focusout", run);
  run();
}

/** Only the latest change can be undone: the other toasts offer it again when they have become the latest. */
function offerUndo() {
  for (const button of region.querySelectorAll("[data-undo]")) button.hidden = button.dataset.undo !== undoable.at(-1);
}

/** Take back the latest change; one after the other, as each stands on the one before. */
function undo() {
  const address = undoable.pop();
  region.querySelector(`[data-undo="${CSS.escape(address)}"]`)?.closest(".toast").remove();
  offerUndo();
  undoing = undoing.then(() =>
    window.htmx.ajax("POST", address, { source: region, swap: "none" }).catch(() => {
      undoable.push(address);
      offerUndo();
    }),
  );
}

export function start() {
  if (!region) return;
  for (const box of region.children) leave(box);
  undoable.push(...[...region.querySelectorAll("[data-undo]")].map((button) => button.dataset.undo));
  if (region.childElementCount) raise();

  document.body.addEventListener("htmx:afterSettle", lift);
  document.addEventListener("close", lift, true);
  window.addEventListener("resize", lift);

  document.body.addEventListener("toast", (event) => toast(event.detail));

  region.addEventListener("click", (event) => {
    if (event.target.closest("[data-undo]")) undo();
    if (event.target.closest("[data-close-toast]")) event.target.closest(".toast").remove();
    if (!region.childElementCount && region.matches(":popover-open")) region.hidePopover();
  });

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey || typing) return;
    if (!undoable.length) return;
    event.preventDefault();
    undo();
  });

  // Somebody else has built upon it.
  document.body.addEventListener("htmx:afterRequest", ({ detail: { elt, xhr } }) => {
    if (elt === region && xhr.status === 409) undoable.length = 0;
  });
}
