"use strict";
const form = document.querySelector("form");
document.querySelector("main").before(form);
form.hidden = false;
const articles = [...document.querySelectorAll("article")].map((element) => ({
  element,
  items: [...element.querySelectorAll("li")].map((item) => ({
    item,
    text: item.textContent.toLowerCase(),
    reasons: item.dataset.reasons.split(" "),
    marks: [...element.querySelectorAll(`g[data-n="${item.dataset.n}"]`)],
  })),
}));

// The mask and the caption of one object light up together.
function light(article, number) {
  article.classList.toggle("lit", number !== null);
  for (const part of article.querySelectorAll("[data-n]")) part.classList.toggle("hot", part.dataset.n === number);
}
for (const { element } of articles) {
  const on = (event) => light(element, event.target.closest("[data-n]")?.dataset.n ?? null);
  element.addEventListener("pointerover", on);
  element.addEventListener("focusin", on);
  element.addEventListener("pointerleave", () => light(element, null));
  element.addEventListener("focusout", () => light(element, null));
}

// A number has the same size in every picture, however large the picture is in the page.
function size() {
  for (const svg of document.querySelectorAll("svg")) {
    if (svg.clientWidth) svg.style.setProperty("--label", `${(14 * svg.viewBox.baseVal.width) / svg.clientWidth}px`);
  }
}
addEventListener("resize", size);

function filter() {
  const wanted = new FormData(form);
  const statuses = wanted.getAll("status");
  const words = wanted.get("q").toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0, all = 0, pictures = 0;
  for (const { element, items } of articles) {
    let here = 0;
    for (const { item, text, reasons, marks } of items) {
      const fits = statuses.includes(item.dataset.status)
        && (!wanted.get("category") || item.dataset.category === wanted.get("category"))
        && (!wanted.get("reason") || reasons.includes(wanted.get("reason")))
        && words.every((word) => text.includes(word));
      item.hidden = !fits;
      for (const mark of marks) mark.classList.toggle("out", !fits);
      here += fits;
    }
    element.hidden = !here;
    shown += here;
    all += items.length;
    pictures += here > 0;
  }
  document.body.classList.toggle("bare", wanted.has("masks"));
  document.body.classList.toggle("filled", wanted.has("fill"));
  form.querySelector("output").value = `${shown} of ${all} objects, in ${pictures} of ${articles.length}`;
  size();
}

// What is chosen stands in the address, so that a view can be sent to somebody.
function remember() {
  const wanted = new URLSearchParams(new FormData(form));
  history.replaceState(null, "", `#${wanted}`);
}
function recall() {
  if (!location.hash) return;
  const wanted = new URLSearchParams(location.hash.slice(1));
  for (const field of form.elements) {
    if (field.type === "checkbox") {
      const values = wanted.getAll(field.name);
      field.checked = values.includes(field.value) || (field.name === "status" && !values.length);
    }
    else if (field.name) field.value = wanted.get(field.name) ?? "";
  }
}
addEventListener("keydown", (event) => {
  if (event.key === "f" && !event.target.closest("input, select")) form.elements.fill.click();
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => { filter(); remember(); });
addEventListener("hashchange", () => { recall(); filter(); });
recall();
filter();
