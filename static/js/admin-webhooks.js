// Webhook management in the admin: parameter cards, the request drawn while typing, test sends.

const PREVIEW_DELAY_MS = 300;

const form = document.getElementById("webhook_form");
const dialog = document.getElementById("webhook-dialog");

// --- Parameters: added from a template, moved by their order field, removed by their delete box -----

function startParameters(group) {
  const prefix = group.dataset.prefix;
  const cards = group.querySelector("[data-cards]");
  const total = group.querySelector(`[name="${prefix}-TOTAL_FORMS"]`);
  const shown = () => [...cards.querySelectorAll("[data-card]")].filter((card) => !card.hidden);

  function number() {
    shown().forEach((card, place) => {
      card.querySelector('[name$="-order"]').value = place;
    });
    group.querySelector("[data-none]").hidden = shown().length > 0;
    group.querySelector("[data-add]").disabled = shown().length >= Number(group.dataset.max);
    form.dispatchEvent(new Event("input"));
  }

  function fit(card) {
    card.dataset.type = card.querySelector('[name$="-type"]').value;
    card.toggleAttribute("data-constant", card.querySelector('[name$="-is_constant"]').checked);
  }

  group.addEventListener("click", (event) => {
    const card = event.target.closest("[data-card]");
    if (event.target.closest("[data-add]")) {
      const fresh = group.querySelector("template").content.cloneNode(true);
      const next = Number(total.value);
      for (const node of fresh.querySelectorAll("*")) {
        for (const name of ["id", "name", "for", "aria-describedby"]) {
          const value = node.getAttribute(name);
          if (value) node.setAttribute(name, value.replaceAll("__prefix__", next));
        }
      }
      total.value = next + 1;
      cards.append(fresh);
      fit(cards.lastElementChild);
      number();
      cards.lastElementChild.querySelector("input:not([type=hidden])").focus();
    } else if (event.target.closest("[data-remove]")) {
      const others = shown();
      const place = others.indexOf(card);
      card.querySelector('[name$="-DELETE"]').checked = true;
      card.hidden = true;
      number();
      const next = others[place + 1] ?? others[place - 1];
      (next?.querySelector("[data-remove]") ?? group.querySelector("[data-add]")).focus();
    } else if (event.target.closest("[data-move]")) {
      const button = event.target.closest("[data-move]");
      const others = shown();
      const other = others[others.indexOf(card) + Number(button.dataset.move)];
      if (!other) return;
      if (button.dataset.move === "1") other.after(card);
      else other.before(card);
      number();
      button.focus();
    }
  });
  group.addEventListener("change", (event) => {
    const card = event.target.closest("[data-card]");
    if (card) fit(card);
  });
  for (const card of shown()) fit(card);
}

// --- Message format preview ---------------------------------------------------------------------------

function startPreview(place) {
  let timer = 0;
  let running = null;

  async function draw() {
    running?.abort();
    running = new AbortController();
    place.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(place.dataset.previewUrl, {
        method: "POST",
        body: new FormData(form),
        signal: running.signal,
      });
      if (answer.ok) place.innerHTML = await answer.text();
    } catch (error) {
      if (error.name === "AbortError") return;
    }
    place.setAttribute("aria-busy", "false");
  }

  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(draw, PREVIEW_DELAY_MS);
  };
  form.addEventListener("input", later);
  form.addEventListener("change", later);
  // What was typed and not saved differs from what the server has drawn.
  if (!place.childElementCount || form.querySelector(".errors, .webhook-effect")) draw();
}

// --- Test send ----------------------------------------------------------------------------------------

let sending = null;

// What a form answers with: fine, to be mended, too often. Anything else is no fragment to show.
const FRAGMENTS = new Set([200, 422, 429]);

async function fragment(url, options = {}) {
  const answer = await fetch(url, { ...options, headers: { "x-fragment": "1" } });
  if (!FRAGMENTS.has(answer.status) || answer.redirected) throw new Error(`status ${answer.status}`);
  return answer.text();
}

function show(html) {
  dialog.innerHTML = html;
  dialog.setAttribute("aria-labelledby", "test-title");
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("[data-close]").hidden = false;
  dialog.querySelector("[data-cancel]").hidden = true;
}

async function openTest(link) {
  try {
    show(await fragment(link.href));
  } catch {
    location.href = link.href; // The page of its own says what is the matter.
    return;
  }
  (dialog.querySelector("input:not([type=hidden])") ?? dialog.querySelector("[data-send]")).focus();
}

async function sendTest(test) {
  if (sending) return; // A second click sends nothing twice; the server would not either.
  const button = test.querySelector("[data-send]");
  const verdict = test.querySelector("[data-verdict]");
  sending = new AbortController();
  button.disabled = true;
  button.textContent = dialog.dataset.slow;
  test.querySelector("[data-cancel]").hidden = false;
  test.querySelector("[data-close]").hidden = true;
  try {
    show(await fragment(test.action, { method: "POST", body: new FormData(test), signal: sending.signal }));
    dialog.querySelector("[data-send]").focus();
    refresh();
  } catch (error) {
    button.disabled = false;
    button.textContent = button.dataset.label ?? button.textContent;
    test.querySelector("[data-cancel]").hidden = true;
    test.querySelector("[data-close]").hidden = false;
    if (error.name !== "AbortError") verdict.textContent = dialog.dataset.failed;
  } finally {
    sending = null;
  }
}

/** Whoever leaves the dialog, by whatever way, does not want what is being sent. */
function cancelTest(test) {
  if (!sending) return;
  sending.abort();
  fetch(test.dataset.cancelUrl, { method: "POST", body: new FormData(test) });
}

// What a test changes on the page behind the dialog.
async function refresh() {
  const places = document.querySelectorAll("[data-refresh]");
  if (!places.length) return;
  const url = new URL(location.href);
  url.search = "";
  const page = new DOMParser().parseFromString(await (await fetch(url)).text(), "text/html");
  for (const place of places) {
    const fresh = page.getElementById(place.id);
    if (fresh) place.replaceWith(fresh);
  }
}

if (dialog) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[data-dialog="test"]');
    if (link && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      openTest(link);
    }
  });
  dialog.addEventListener("submit", (event) => {
    event.preventDefault();
    sendTest(event.target);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) dialog.close();
    if (event.target.closest("[data-cancel]")) dialog.close();
  });
  dialog.addEventListener("close", () => cancelTest(dialog.querySelector("form")));
  const now = document.querySelector("a[data-open-now]");
  if (now) {
    history.replaceState(null, "", location.pathname);
    openTest(now);
  }
}

// --- Lists of boxes to tick -----------------------------------------------------------------------------

// One that scrolls ends below a row, not in the middle of a name.
for (const list of document.querySelectorAll(".webhook-choices")) {
  const ends = [...list.children].map((row) => row.offsetTop + row.offsetHeight - list.offsetTop);
  const last = ends.findLast((end) => end <= list.offsetHeight);
  if (last && list.scrollHeight > list.clientHeight) list.style.maxHeight = `${last + 4}px`;
}

if (form) {
  for (const group of document.querySelectorAll(".webhook-parameters")) startParameters(group);
  const place = document.getElementById("webhook-preview");
  if (place) startPreview(place);
}
