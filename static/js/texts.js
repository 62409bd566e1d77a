// Words that scripts put on the screen. They come from the page (includes/_texts.html), translated.

const source = document.getElementById("texts");

/** The text of a key, with {name} replaced by values.name. */
export function text(key, values = {}) {
  const words = source?.dataset[key] ?? "";
  return words.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

const announcer = document.getElementById("announcer");

/** Say something to screen readers only. */
export function announce(words) {
  if (!announcer) return;
  announcer.textContent = "";
  requestAnimationFrame(() => {
    announcer.textContent = words;
  });
}

/** An icon, as includes/_icon.html draws it: one that the page holds itself, else one of the sprite. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const own = document.getElementById(`icon-${name}`);
  use.setAttribute("href", own ? `#${own.id}` : `${source?.dataset.icons ?? ""}#${name}`);
  svg.append(use);
  return svg;
}
