// The sign-up form begins with the time zone of the browser. Without a script it is UTC, and can be chosen.
const form = document.querySelector("form[data-fresh=yes]");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const list = form?.elements.namedItem("time_zone");
if (list && [...list.options].some((option) => option.value === zone)) list.value = zone;
