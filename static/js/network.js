// When a request fails: say what, offer "Try again", keep everything typed.

import { toast } from "./toasts.js";
import { icon, text } from "./texts.js";

// What renews itself is asked again anyway.
const QUIET = "[data-live], [data-quiet]";

let failure = { xhr: null, box: null };
/** A new token was taken over, and nothing has gone through with it yet. */
let renewed = false;

// detail.elt is the target in htmx:beforeSwap; the element that asked stands in requestConfig.
function again({ target, etc, requestConfig }) {
  const { elt, path, triggeringEvent: cause, unfilteredFormData, verb } = requestConfig;
  return () => {
    if (!elt.isConnected) return;
    const { submitter } = cause ?? {};
    if (elt.matches("form")) elt.requestSubmit(submitter?.isConnected ? submitter : undefined);
    else {
      // An element tells its values anew; what a script sent is sent once more.
      const values = cause ? {} : unfilteredFormData;
      quietly(window.htmx.ajax(verb, path, { source: elt, target, swap: etc.swapOverride, values }));
    }
  };
}

/** What fails is told by the listeners below; the promise tells nobody. */
export function quietly(promise) {
  promise.catch(() => {});
}

/** What the page asked for by itself says in its own place that it is missing, until it is there. */
function replace(part, retry) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "button button-link", textContent: text("tryAgain") });
  button.addEventListener("click", retry);
  if (part.matches("span")) {
    button.title = text("partFailed");
    part.replaceChildren(button);
    return;
  }
  const box = document.createElement("div");
  box.className = "notice";
  const sentence = document.createElement("div");
  sentence.className = "notice-body";
  sentence.textContent = text("partFailed");
  const sign = icon("alert-circle");
  sign.classList.add("red");
  box.append(sign, sentence, button);
  part.replaceChildren(box);
}

function fails(event, words, more = {}) {
  const { elt, triggeringEvent: cause } = event.detail.requestConfig;
  if (elt.matches(QUIET)) return;
  if (elt.matches("[hx-trigger^=load]") && !cause && !more.link) {
    const { target } = event.detail;
    replace(elt.contains(target) ? target : elt, again(event.detail));
    return;
  }
  for (const old of document.querySelectorAll("#toasts .toast-error")) old.remove();
  const box = toast({ text: words, tone: "error", retry: again(event.detail), ...more });
  failure = { xhr: event.detail.xhr, box };
}

/** Logging in again makes the page's token void; the refusal brings the new one. */
function renew(token) {
  renewed = true;
  for (const field of document.querySelectorAll("[name=csrfmiddlewaretoken]")) field.value = token;
  document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRFToken": token }));
}

export function start() {
  document.body.addEventListener("htmx:sendError", (event) => fails(event, text("unreachable")));
  document.body.addEventListener("htmx:timeout", (event) => fails(event, text("unreachable")));

  document.body.addEventListener("htmx:responseError", (event) => {
    const { status } = event.detail.xhr;
    if (status === 403) fails(event, text("forbidden"));
    else if (status === 404) fails(event, text("gone"));
    else fails(event, text("failed"));
  });

  // What failed is over once anything has gone through.
  document.body.addEventListener("htmx:afterRequest", (event) => {
    const { requestConfig, successful, xhr } = event.detail;
    if (!successful || xhr === failure.xhr || xhr.status === 403 || requestConfig.elt.matches(QUIET)) return;
    renewed = false;
    failure.box?.remove();
  });

  // A whole page where a fragment was due is the log-in page or an error page: it replaces nothing.
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const { boosted, requestConfig, xhr } = event.detail;
    if (boosted) return;
    if (!/^\s*<!doctype html/i.test(xhr.responseText)) {
      // A fragment that explains the missing right stands where the content would.
      if (xhr.status === 403) event.detail.isError = false;
      return;
    }
    event.detail.shouldSwap = false;
    const token = xhr.getResponseHeader("X-CSRFToken");
    if (token && !renewed) {
      event.detail.isError = false;
      renew(token);
      setTimeout(again(event.detail)); // The form is held until this answer is dealt with.
    } else if (xhr.status < 400) {
      event.detail.isError = requestConfig.elt.matches(QUIET);
      fails(event, text("loggedOut"), { link: { label: text("logIn"), url: text("logInUrl") } });
    }
  });
}
