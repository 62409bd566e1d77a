// The set-up's navigation is longer than some windows: the page that is open is always in sight.

document.querySelector(".nav-setup [aria-current=page]")?.scrollIntoView({ block: "nearest" });
