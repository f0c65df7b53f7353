// Small helps; the forms work without a script as well.
// The sign-up form begins with the time zone of the browser; without a script it is UTC, and can be chosen.
const fresh = document.querySelector("form[data-fresh=yes]");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const list = fresh?.elements.namedItem("time_zone");
if (list && [...list.options].some((option) => option.value === zone)) list.value = zone;

// "All of them" and single ones exclude each other.
for (const name of ["instruments", "strategies"]) {
  const boxes = [...document.querySelectorAll(`input[type=checkbox][name=${name}]`)];
  for (const box of boxes)
    box.addEventListener("change", () => {
      if (!box.checked) return;
      for (const other of boxes) if (other !== box && (box.value === "*" || other.value === "*")) other.checked = false;
    });
}
