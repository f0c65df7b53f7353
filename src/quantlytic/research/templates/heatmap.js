"use strict";
// One map at a time, scrolled to its best cell; without this script all of them are shown below each other.
(() => {
  const parts = [...document.querySelectorAll("[data-map]")];
  const reveal = part => {
    const best = part.querySelector("td.best");
    const box = part.querySelector(".scroll");
    if (best) box.scrollLeft = best.offsetLeft + best.offsetWidth / 2 - box.clientWidth / 2;
  };
  for (const part of parts) reveal(part);
  const group = document.getElementById("metrics");
  if (parts.length < 2) return;
  group.hidden = false;
  const show = key => {
    for (const part of parts) {
      part.hidden = part.dataset.map !== key;
      if (!part.hidden) reveal(part);
    }
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.dataset.key === key));
  };
  group.addEventListener("click", event => {
    const key = event.target.dataset.key;
    if (key) show(key);
  });
  show(parts[0].dataset.map);
})();
