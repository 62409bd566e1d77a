// One request a form: the button says "Sending…" until the answer is there, a second click does nothing.

import { quietly } from "./network.js";
import { announce } from "./texts.js";

function buttonOf(form, submitter) {
  return submitter ?? form.querySelector("[type=submit]");
}

function hold(form, submitter) {
  form.dataset.busy = "yes";
  const button = buttonOf(form, submitter);
  if (!button) return;
  button.setAttribute("aria-disabled", "true");
  button.setAttribute("aria-busy", "true");
  const words = button.dataset.busyLabel;
  if (!words) return;
  button.dataset.label = button.textContent;
  button.textContent = words;
  announce(words);
}

function release(form) {
  delete form.dataset.busy;
  delete form.dataset.confirmed;
  for (const button of form.querySelectorAll("[aria-busy=true]")) {
    button.removeAttribute("aria-disabled");
    button.removeAttribute("aria-busy");
    if (button.dataset.label !== undefined) button.textContent = button.dataset.label;
    delete button.dataset.label;
  }
}

export function start() {
  document.addEventListener(
    "submit",
    (event) => {
      if (event.target.dataset.busy) {
        event.preventDefault();
        event.stopImmediatePropagation();
      }
    },
    true,
  );

  document.body.addEventListener("htmx:beforeRequest", (event) => {
    const { elt, requestConfig } = event.detail;
    if (elt.matches("form") && requestConfig.verb !== "get") {
      hold(elt, requestConfig.triggeringEvent?.submitter);
    }
  });

  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt.matches("form")) release(event.detail.elt);
  });

  // Forms without htmx leave the page; they are held after every other listener has agreed.
  window.addEventListener("submit", (event) => {
    const form = event.target;
    const htmx = form.matches("[hx-post], [hx-put], [hx-patch], [hx-delete], [hx-get]");
    if (!event.defaultPrevented && !htmx && form.method === "post") hold(form, event.submitter);
  });

  // Coming back by the browser's Back brings the page as it was left.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) document.querySelectorAll("form[data-busy]").forEach(release);
  });

  // Whoever leaves a dialog while its form is being sent wants it not sent: the server is told so.
  document.addEventListener(
    "htmx:abort",
    ({ target: form }) => {
      if (!form.dataset.busy || !form.dataset.cancelUrl) return;
      const values = Object.fromEntries(new FormData(form));
      quietly(window.htmx.ajax("POST", form.dataset.cancelUrl, { source: document.body, swap: "none", values }));
    },
    true,
  );
}
