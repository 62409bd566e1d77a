// Native dialogs. #dialog (480) and #dialog-wide (720) are filled by htmx and open by themselves;
// #confirm asks one question. They stand side by side at the end of <body>, so no form is in a form.

import { icon, text } from "./texts.js";

const openers = new WeakMap();

/** Answers the question that was asked last. */
let answer = () => {};

export function open(dialog, opener = document.activeElement) {
  if (dialog.open) return;
  openers.set(dialog, opener);
  dialog.showModal();
  focusFirst(dialog);
}

/** The first field is where the work starts; the close button only comes first in the markup. */
export function focusFirst(dialog) {
  const field = dialog.querySelector("[autofocus], .dialog-body :is(input:not([type=hidden]), select, textarea)");
  (field ?? dialog.querySelector("h2[tabindex]"))?.focus();
}

export function close(dialog) {
  if (dialog?.open) dialog.close();
}

/**
 * Ask one question. choices: [{ label, value, kind: "primary" or "danger" }], last one is the usual answer.
 * Resolves to the value chosen, or "" when the dialog was left by Esc or its Cancel.
 */
export function ask({ title, body = "", choices }) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("h2").textContent = title;
  const words = dialog.querySelector("[data-confirm-body]");
  words.textContent = body;
  words.hidden = !body;
  const footer = dialog.querySelector(".dialog-footer");
  footer.replaceChildren(
    ...choices.map(({ label, value, kind = "" }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = kind ? `button button-${kind}` : "button";
      button.append(...(kind === "danger" ? [icon("trash")] : []), label);
      button.autofocus = Boolean(kind);
      button.addEventListener("click", () => {
        dialog.close();
        answer(value);
      });
      return button;
    }),
  );
  open(dialog);
  footer.lastElementChild?.focus();
  return new Promise((resolve) => {
    answer = resolve;
  });
}

/** Yes or no, with the act as the label of the yes; deletes: what is gone then is gone. */
export async function confirm({ title, body, label, deletes = false }) {
  const answer = await ask({
    title,
    body,
    choices: [
      { label: text("cancel"), value: "" },
      { label, value: "yes", kind: deletes ? "danger" : "primary" },
    ],
  });
  return answer === "yes";
}

export function start() {
  document.addEventListener("click", (event) => {
    const closer = event.target.closest("[data-close-dialog]");
    if (closer) close(closer.closest("dialog"));
    const opener = event.target.closest("[data-open-dialog]");
    if (opener) open(document.getElementById(opener.dataset.openDialog), opener);
  });

  document.addEventListener(
    "close",
    (event) => {
      const dialog = event.target;
      // The browser tells this late: by then the dialog may be open again, and the focus elsewhere.
      if (!(dialog instanceof HTMLDialogElement) || dialog.open) return;
      if (dialog.id === "confirm") answer("");
      const opener = openers.get(dialog);
      openers.delete(dialog);
      // A request that fills a closed dialog would open it again.
      for (const busy of dialog.querySelectorAll(".htmx-request")) window.htmx?.trigger(busy, "htmx:abort");
      if (dialog.matches("[data-fill]")) dialog.replaceChildren();
      if (opener?.isConnected && document.activeElement === document.body) opener.focus();
      dialog.dispatchEvent(new CustomEvent("dialog-closed", { bubbles: true }));
    },
    true,
  );

  document.body.addEventListener("htmx:afterSwap", (event) => {
    const dialog = event.detail.target;
    if (dialog.matches?.("dialog[data-fill]") && dialog.childElementCount) {
      const heading = dialog.querySelector("h2[id]");
      if (heading) dialog.setAttribute("aria-labelledby", heading.id);
      open(dialog, event.detail.requestConfig?.elt ?? document.activeElement);
    }
  });

  // A refused form stands there anew: whoever sent it goes on at what has to be mended.
  document.body.addEventListener("htmx:afterSettle", (event) => {
    const { target, xhr } = event.detail;
    if (xhr?.status !== 422 || !target?.matches("dialog[data-fill]")) return;
    const wrong = target.querySelector("[aria-invalid=true]");
    if (wrong) wrong.focus();
    else if (document.activeElement === document.body) focusFirst(target);
  });

  // A form saved from a dialog answers 204; the dialog is done then.
  document.body.addEventListener("htmx:afterRequest", (event) => {
    const { elt, xhr, successful } = event.detail;
    if (successful && xhr.status === 204 && !elt.closest("[data-keep-open]")) close(elt.closest("dialog[data-fill]"));
  });

  document.body.addEventListener("dialog-close", () => {
    for (const dialog of document.querySelectorAll("dialog[data-fill][open]")) close(dialog);
  });

  // hx-confirm="Question?" with data-confirm-title, data-confirm-label and data-deletes.
  document.body.addEventListener("htmx:confirm", (event) => {
    const { question, elt, issueRequest } = event.detail;
    if (!question) return;
    event.preventDefault();
    const title = elt.dataset.confirmTitle ?? question;
    const body = elt.dataset.confirmTitle ? question : "";
    const label = elt.dataset.confirmLabel ?? text("continue");
    confirm({ title, body, label, deletes: elt.hasAttribute("data-deletes") }).then((yes) => {
      if (yes) issueRequest(true);
    });
  });

  // <form data-confirm="Question?"> without htmx.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.confirm || form.dataset.confirmed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const { confirmTitle, confirm: question, confirmLabel } = form.dataset;
    confirm({
      title: confirmTitle ?? question,
      body: confirmTitle ? question : "",
      label: confirmLabel ?? text("continue"),
      deletes: form.hasAttribute("data-deletes"),
    }).then((yes) => {
      if (!yes) return;
      form.dataset.confirmed = "yes";
      form.requestSubmit(event.submitter);
    });
  });
}
