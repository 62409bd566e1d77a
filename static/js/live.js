// Numbers that renew themselves (hx-trigger="every 2s" and data-live on the same element): they rest while
// the tab is hidden, say how old they are when the server cannot be reached, and are read out at most
// every 30 s. data-live holds the sentence to read out.

import { announce, text } from "./texts.js";

const ANNOUNCE_EVERY_MS = 30_000;
let announcedAt = 0;
let announced = "";
let later = 0;
let renewedAt = new Date();

function time(moment) {
  const { lang } = document.documentElement;
  const timeZone = document.body.dataset.timeZone || undefined;
  return new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone }).format(moment);
}

function stale(isStale) {
  const note = document.getElementById("offline");
  if (!note) return;
  note.hidden = !isStale;
  if (isStale) note.querySelector("[data-offline-text]").textContent = text("numbersFrom", { time: time(renewedAt) });
}

/** Read out what the page says now, at once or when the half minute is over: the last numbers are never left out. */
function say() {
  clearTimeout(later);
  const sentence = document.querySelector("[data-live]")?.dataset.live;
  if (!sentence || sentence === announced) return;
  const wait = announcedAt + ANNOUNCE_EVERY_MS - Date.now();
  if (wait > 0) {
    later = setTimeout(say, wait);
    return;
  }
  announcedAt = Date.now();
  announced = sentence;
  announce(sentence);
}

export function start() {
  announcedAt = Date.now();

  document.body.addEventListener("htmx:beforeRequest", (event) => {
    const isPoll = event.detail.elt.matches("[data-live]") && !event.detail.requestConfig.triggeringEvent?.isTrusted;
    if (isPoll && (document.hidden || !navigator.onLine)) event.preventDefault();
  });

  document.body.addEventListener("htmx:afterRequest", (event) => {
    const { elt, successful } = event.detail;
    if (!elt.matches("[data-live]")) return;
    if (successful) renewedAt = new Date();
    stale(!successful);
  });

  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.elt.closest?.("[data-live]")) say();
  });

  // What comes with the numbers may be another button than the one that was pressed: the focus stays in its place.
  let focused = "";
  document.body.addEventListener("htmx:oobBeforeSwap", ({ detail: { target } }) => {
    focused = target.contains(document.activeElement) ? target.id : "";
  });
  document.body.addEventListener("htmx:oobAfterSwap", () => {
    const place = focused && document.getElementById(focused);
    focused = "";
    if (place && document.activeElement === document.body) place.querySelector("button, a[href]")?.focus();
  });

  window.addEventListener("offline", () => stale(true));
  window.addEventListener("online", () => stale(false));
}
