// The canvas by keyboard and zoom. One Tab stop; arrows walk by position, so that branches work too.

import { quietly } from "./network.js";
import { text } from "./texts.js";
import { toast } from "./toasts.js";

const canvas = () => document.querySelector("[data-canvas]");
const COPIED = "copied-step";
const ZOOMS = [0.5, 0.67, 0.8, 1, 1.25, 1.5];
let zoom = 1;
let last = "";
/** The "+" that opened the menu of components: which step it follows, and in which branch. */
let adding = null;

function buttons() {
  return [...(canvas()?.querySelectorAll(".node-main") ?? [])].filter((one) => one.getClientRects().length);
}

function visible(selector) {
  return [...(canvas()?.querySelectorAll(selector) ?? [])].find((one) => one.getClientRects().length);
}

function keyOf(button) {
  return button?.closest("[data-step]")?.dataset.step ?? "";
}

/** Make one node the Tab stop: the one used last, the selected one, or the first. */
function rove() {
  const all = buttons();
  const stop =
    all.find((one) => keyOf(one) === last) ?? all.find((one) => one.hasAttribute("aria-current")) ?? all[0] ?? null;
  for (const one of all) one.tabIndex = one === stop ? 0 : -1;
  for (const other of canvas()?.querySelectorAll("[data-add], .node-numbers a") ?? []) other.tabIndex = -1;
}

export function focusStop() {
  rove();
  buttons().find((one) => one.tabIndex === 0)?.focus();
}

function neighbour(from, key) {
  const middle = (one) => {
    const box = one.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  };
  const [x, y] = middle(from);
  let best = null;
  let nearest = Infinity;
  for (const one of buttons()) {
    const [ox, oy] = middle(one);
    const [dx, dy] = [ox - x, oy - y];
    const ahead = { ArrowDown: dy, ArrowUp: -dy, ArrowRight: dx, ArrowLeft: -dx }[key];
    const aside = key === "ArrowDown" || key === "ArrowUp" ? Math.abs(dx) : Math.abs(dy);
    if (one === from || ahead < 8) continue;
    const distance = ahead + 2 * aside;
    if (distance < nearest) [best, nearest] = [one, distance];
  }
  return best;
}

function go(element) {
  if (!element) return;
  last = keyOf(element);
  rove();
  element.focus();
  element.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** Where an arrow leads: right into the counts of a step and along them, left back to it; else to another step. */
function beside(element, key) {
  const node = element.closest(".node");
  const row = [node.querySelector(".node-main"), ...node.querySelectorAll(".node-numbers a")];
  const to = row[row.indexOf(element) + { ArrowRight: 1, ArrowLeft: -1 }[key]];
  return to ?? neighbour(row[0], key);
}

function nameOf(step) {
  return visible(`.node[data-step="${CSS.escape(step)}"] .node-name`)?.textContent ?? "";
}

function copy(step) {
  sessionStorage.setItem(COPIED, step);
  const key = matchMedia("(max-width: 767.98px), (pointer: coarse)").matches ? "stepCopiedTouch" : "stepCopied";
  toast({ text: text(key, { name: nameOf(step) }), tone: "info" });
}

/** The menu of components offers the copied step too, as long as it stands on this canvas. */
function offerPaste(menu) {
  const name = nameOf(sessionStorage.getItem(COPIED) ?? "");
  for (const part of menu.querySelectorAll("[data-paste-part]")) part.hidden = !name;
  for (const words of menu.querySelectorAll("[data-paste-name]")) words.textContent = text("pasteStep", { name });
}

/**
 * POST to one of the canvas's addresses; the answer replaces the canvas. While that is being drawn anew,
 * as after a save, this waits for it: what is asked of a canvas that goes away goes with it.
 */
function post(name, values) {
  if (canvas().matches(".htmx-request")) {
    document.body.addEventListener("htmx:afterRequest", () => post(name, values), { once: true });
    return;
  }
  const { dataset } = canvas();
  const url = dataset[`url${name}`];
  if (!url) return;
  const asked = window.htmx.ajax("POST", url, {
    source: canvas(),
    target: canvas(),
    swap: "outerHTML",
    values: { revision: dataset.revision ?? "", ...values },
  });
  quietly(asked);
}

async function act(event, button) {
  const step = keyOf(button);
  const command = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  const node = button.closest("[data-step]");
  if (command && key === "c" && !node.hasAttribute("data-fixed")) copy(step);
  else if (command && key === "v" && sessionStorage.getItem(COPIED))
    post("Paste", { step, source: sessionStorage.getItem(COPIED) });
  else if (command && key === "d" && !node.hasAttribute("data-fixed")) post("Duplicate", { step });
  else if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown"))
    post("Move", { step, direction: event.key === "ArrowUp" ? "up" : "down" });
  else if ((event.key === "Delete" || event.key === "Backspace") && !node.hasAttribute("data-fixed"))
    document.dispatchEvent(new CustomEvent("step-delete", { detail: { step, question: node.dataset.confirm ?? "" } }));
  else if (!command && !event.altKey && key === "a")
    visible(`[data-add="${CSS.escape(step)}"]`)?.click();
  else return;
  event.preventDefault();
}

function setZoom(value) {
  const graph = canvas()?.querySelector(".canvas-graph");
  if (!graph) return;
  zoom = value;
  graph.setAttribute("width", Math.round(Number(graph.dataset.width) * zoom));
  graph.setAttribute("height", Math.round(Number(graph.dataset.height) * zoom));
  const label = canvas().querySelector("[data-zoom='1']");
  if (label) label.textContent = `${Math.round(zoom * 100)}%`;
}

function zoomTo(what) {
  const graph = canvas().querySelector(".canvas-graph");
  const view = canvas().querySelector(".canvas-view");
  if (what === "in") setZoom(ZOOMS.find((one) => one > zoom + 0.01) ?? zoom);
  else if (what === "out") setZoom(ZOOMS.findLast((one) => one < zoom - 0.01) ?? zoom);
  else if (what === "fit") {
    const room = Math.min(
      (view.clientWidth - 64) / Number(graph.dataset.width),
      (view.clientHeight - 96) / Number(graph.dataset.height),
    );
    setZoom(Math.max(0.25, Math.min(1, room)));
  } else setZoom(1);
}

/** ask(question) resolves to a yes or no; isChanged(step) and discard() are the panel's. */
export function start({ ask, isChanged, discard }) {
  if (!canvas()) return;
  rove();

  document.addEventListener("keydown", (event) => {
    const button = event.target.closest?.("[data-canvas] :is(.node-main, .node-numbers a)");
    if (!button) return;
    if (event.key.startsWith("Arrow") && !event.altKey) {
      event.preventDefault();
      go(beside(button, event.key));
    } else if (event.key === "Home" || event.key === "End") {
      event.preventDefault();
      const all = buttons();
      go(event.key === "Home" ? all[0] : all[all.length - 1]);
    } else if (button.matches(".node-main")) act(event, button);
  });

  document.addEventListener("step-delete", async (event) => {
    const { step, question } = event.detail;
    const wasTyped = isChanged(step);
    const questions = [question, wasTyped ? text("unsavedBody") : ""].filter(Boolean).join(" ");
    if (questions && !(await ask(questions))) return;
    if (wasTyped) discard();
    const all = buttons();
    const at = all.findIndex((one) => keyOf(one) === step);
    last = keyOf(all[at - 1] ?? all[at + 1]);
    post("Delete", { step });
  });

  document.addEventListener("focusin", (event) => {
    const button = event.target.closest?.("[data-canvas] :is(.node-main, .node-numbers a)");
    if (!button) return;
    last = keyOf(button);
    rove();
  });

  document.addEventListener("click", (event) => {
    const tool = event.target.closest("[data-zoom]");
    if (tool) zoomTo(tool.dataset.zoom);
    adding = event.target.closest("[data-add]") ?? adding;
    const kind = event.target.closest("[data-add-kind]");
    if (kind && adding) {
      post("Add", { after: adding.dataset.add, branch: adding.dataset.branch ?? "", kind: kind.dataset.addKind });
    }
    if (event.target.closest("[data-paste]") && adding) {
      post("Paste", { step: adding.dataset.add, source: sessionStorage.getItem(COPIED) ?? "" });
    }
    const action = event.target.closest("[data-step-action]");
    if (!action) return;
    const { stepAction, step } = action.dataset;
    const node = canvas()?.querySelector(`.node[data-step="${CSS.escape(step)}"]`);
    if (stepAction === "delete") {
      document.dispatchEvent(new CustomEvent("step-delete", { detail: { step, question: node?.dataset.confirm ?? "" } }));
    } else if (stepAction === "copy") copy(step);
    else if (stepAction === "duplicate") post("Duplicate", { step });
    else post("Move", { step, direction: stepAction });
  });

  document.addEventListener(
    "beforetoggle",
    (event) => {
      if (event.target.id === "menu-add" && event.newState === "open") offerPaste(event.target);
    },
    true,
  );

  // HX-Trigger-After-Settle: {"step-open": {"step": "…"}} opens the panel of a step just added.
  document.body.addEventListener("step-open", (event) => {
    last = event.detail.step;
    visible(`.node[data-step="${CSS.escape(last)}"] .node-main`)?.click();
  });

  // A redrawn canvas keeps zoom, Tab stop, focus and the mark of the step in the panel.
  let hadFocus = false;
  document.body.addEventListener("htmx:beforeSwap", () => {
    hadFocus = Boolean(document.activeElement?.closest("[data-canvas]"));
  });
  document.body.addEventListener("htmx:afterSettle", (event) => {
    // Not for what is renewed in it: the focus may rest on anything then.
    if (!event.detail.elt.matches?.("[data-canvas]")) return;
    setZoom(zoom);
    rove();
    if (hadFocus) buttons().find((one) => one.tabIndex === 0)?.focus();
  });
}
