// What the pages do beyond HTML: exact times, keys, and small comforts. Everything works without it.
"use strict";

(() => {
  const exact = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium" });

  // Times get the exact one in the viewer's own zone.
  const dress = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) time.title = exact.format(new Date(time.dateTime));
  };

  // On a telephone the menu is one long line: the entry of this page is brought into sight.
  const current = document.querySelector(".menu a[aria-current]");
  const line = current?.closest("ul");
  if (line && line.scrollWidth > line.clientWidth) {
    line.scrollLeft = current.offsetLeft - (line.clientWidth - current.offsetWidth) / 2;
  }

  // A choice that is posted as soon as it is made.
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  });
  for (const form of document.querySelectorAll(".foot form:has([data-submit]) button")) form.hidden = true;

  // Keys: / searches, j and k go down and up a list, Enter opens, r retries.
  const rows = () => [...document.querySelectorAll("tr[data-row]")];
  const choose = (step) => {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("chosen"));
    all[at]?.classList.remove("chosen");
    const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
    next.classList.add("chosen");
    next.querySelector("a")?.focus();
  };
  document.addEventListener("keydown", (event) => {
    if (document.documentElement.dataset.keys === "off") return; // Who speaks to the computer presses keys unawares.
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    if (event.key === "/") document.querySelector("[data-key='/']")?.focus();
    else if (event.key === "j") choose(1);
    else if (event.key === "k") choose(-1);
    else if (event.key === "r") (document.querySelector("tr.chosen") ?? document).querySelector("[data-key='r']")?.click();
    else return;
    event.preventDefault();
  });

  dress(document);
  document.addEventListener("jobman:changed", () => dress(document));
})();
