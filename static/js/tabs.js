// Tabs inside one page: [role=tablist] of buttons with aria-controls. Links as tabs need no script.

function select(tab) {
  for (const one of tab.closest("[role=tablist]").querySelectorAll("[role=tab]")) {
    const isSelected = one === tab;
    one.setAttribute("aria-selected", String(isSelected));
    one.tabIndex = isSelected ? 0 : -1;
    const panel = document.getElementById(one.getAttribute("aria-controls"));
    if (panel) panel.hidden = !isSelected;
  }
}

export function start() {
  document.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) select(tab);
  });

  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest?.("[role=tab]");
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!tab || !step) return;
    event.preventDefault();
    const all = [...tab.closest("[role=tablist]").querySelectorAll("[role=tab]")];
    const next = all[(all.indexOf(tab) + step + all.length) % all.length];
    select(next);
    next.focus();
  });
}
