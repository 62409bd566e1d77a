// When a request fails: say what, offer "Try again", keep everything typed.

import { toast } from "./toasts.js";
import { text } from "./texts.js";

function again(detail) {
  const { elt, requestConfig } = detail;
  return () => {
    if (!elt.isConnected) return;
    if (elt.matches("form")) elt.requestSubmit();
    else if (requestConfig.triggeringEvent?.type) window.htmx.trigger(elt, requestConfig.triggeringEvent.type);
  };
}

function fails(event, words) {
  if (event.detail.elt.matches("[data-live]")) return;
  for (const old of document.querySelectorAll("#toasts .toast-error")) old.remove();
  toast({ text: words, tone: "error", retry: again(event.detail) });
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

  // A whole page where a fragment was due is the log-in page or an error page: it replaces nothing.
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, boosted } = event.detail;
    if (boosted) return;
    if (!/^\s*<!doctype html/i.test(xhr.responseText)) {
      // A fragment that explains the missing right stands where the content would.
      if (xhr.status === 403) event.detail.isError = false;
      return;
    }
    event.detail.shouldSwap = false;
    if (xhr.status < 400) {
      event.detail.isError = false;
      fails(event, text("loggedOut"));
    }
  });
}
