// Menus are native popovers (Esc, light dismiss and the top layer come from the browser); here they
// find their place beside the button and get the arrow keys.

const GAP = 4;
const EDGE = 8;

/** The button pressed last: several may open the same menu. */
let pressed = null;

function place(menu, button) {
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const fitsRight = at.left + width <= innerWidth - EDGE;
  const left = menu.dataset.align === "end" || !fitsRight ? at.right - width : at.left;
  const below = at.bottom + GAP;
  const top = below + height <= innerHeight - EDGE ? below : Math.max(EDGE, at.top - GAP - height);
  menu.style.left = `${Math.max(EDGE, left)}px`;
  menu.style.top = `${top}px`;
}

function items(menu) {
  return [...menu.querySelectorAll(".menu-item:not(:disabled, [hidden])")];
}

export function start() {
  document.addEventListener(
    "click",
    (event) => {
      pressed = event.target.closest("[popovertarget]") ?? pressed;
    },
    true,
  );

  // It is shown before the event that places it: until then it is not seen.
  document.addEventListener(
    "beforetoggle",
    ({ newState, target }) => {
      if (newState === "open" && target.matches(".menu[popover]")) target.style.visibility = "hidden";
    },
    true,
  );

  document.addEventListener(
    "toggle",
    (event) => {
      const menu = event.target;
      if (!(menu instanceof HTMLElement) || !menu.matches(".menu[popover]")) return;
      const buttons = document.querySelectorAll(`[popovertarget="${CSS.escape(menu.id)}"]`);
      const seen = [...buttons].filter((one) => one.getClientRects().length);
      const button = seen.find((one) => one === pressed) ?? seen[0];
      const opened = event.newState === "open";
      for (const one of buttons) one.setAttribute("aria-expanded", String(opened && one === button));
      if (opened && button) place(menu, button);
      menu.style.visibility = "";
      if (!opened || !button) return;
      (menu.querySelector("[autofocus]") ?? items(menu)[0])?.focus();
    },
    true,
  );

  document.addEventListener("keydown", (event) => {
    const menu = event.target.closest?.(".menu[popover]");
    if (!menu) return;
    const all = items(menu);
    const now = all.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    let next = null;
    if (step) next = all[(now + step + all.length) % all.length];
    else if (event.key === "Home") next = all[0];
    else if (event.key === "End") next = all[all.length - 1];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });

  document.addEventListener("click", (event) => {
    const item = event.target.closest(".menu-item");
    if (item && !item.hasAttribute("data-keep-menu")) item.closest("[popover]")?.hidePopover();
  });

  // A phone's keyboard changes the window too, and a turned phone may have no room for the button.
  window.addEventListener("resize", () => {
    for (const menu of document.querySelectorAll(".menu:popover-open")) {
      const button = document.querySelector(`[popovertarget="${CSS.escape(menu.id)}"][aria-expanded=true]`);
      if (button?.getClientRects().length) place(menu, button);
      else menu.hidePopover();
    }
  });

  window.addEventListener(
    "scroll",
    (event) => {
      for (const menu of document.querySelectorAll(".menu:popover-open")) {
        if (!menu.contains(event.target)) menu.hidePopover();
      }
    },
    { capture: true, passive: true },
  );
}
