// Swagger is dark where <html> has this class: with the product's theme, or with the system where
// nobody chose one. No module, so that it has run before the page is drawn.

(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const show = () =>
    root.classList.toggle("dark-mode", root.dataset.theme === "dark" || (!root.dataset.theme && dark.matches));
  dark.addEventListener("change", show);
  show();
})();
