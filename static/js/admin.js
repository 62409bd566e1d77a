// The set-up's navigation is longer than some windows: the page that is open is always in sight, with room
// below it, and no row above is cut.

const ROOM = 8;

const nav = document.getElementById("nav");
const page = nav?.querySelector(".nav-setup [aria-current=page]");
const bottom = (row) => row.getBoundingClientRect().bottom;
const least = page ? bottom(page) + ROOM - bottom(nav) : 0;
if (least > 0) {
  const top = nav.getBoundingClientRect().top;
  const starts = [...nav.querySelectorAll(".nav-link, .nav-label")].map((row) => row.getBoundingClientRect().top - top);
  nav.scrollTop = starts.find((start) => start >= least);
}
