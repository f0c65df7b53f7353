"use strict";
// One map at a time; without this script all of them are shown below each other.
(() => {
  const parts = [...document.querySelectorAll("[data-map]")];
  const group = document.getElementById("metrics");
  if (parts.length < 2) return;
  group.hidden = false;
  const show = key => {
    for (const part of parts) part.hidden = part.dataset.map !== key;
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.dataset.key === key));
  };
  group.addEventListener("click", event => {
    const key = event.target.dataset.key;
    if (key) show(key);
  });
  show(parts[0].dataset.map);
})();
