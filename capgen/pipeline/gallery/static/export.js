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
    score: item.dataset.score === undefined ? null : Number(item.dataset.score),
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

// Pictures by the best or worst score of their objects that are shown; what has no score comes last.
function order(wanted) {
  const sign = { worst: 1, best: -1 }[wanted.get("sort")];
  const rank = ({ items }) => {
    const scores = items.filter(({ item, score }) => !item.hidden && score !== null).map(({ score }) => sign * score);
    return scores.length ? Math.min(...scores) : Infinity;
  };
  const ranked = articles.map((article, place) => ({ article, place, rank: sign ? rank(article) : 0 }));
  ranked.sort((one, other) => (one.rank === other.rank ? one.place - other.place : one.rank - other.rank));
  document.querySelector("main").append(...ranked.map(({ article }) => article.element));
}

// Whether a score lies within the limits, where there are some.
function within(score, wanted) {
  const low = wanted.get("min_score"), high = wanted.get("max_score");
  return (!low || (score !== null && score >= Number(low))) && (!high || (score !== null && score <= Number(high)));
}

let ordered = "";
function filter() {
  const wanted = new FormData(form);
  const statuses = wanted.getAll("status");
  const words = wanted.get("q").toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0, all = 0, pictures = 0;
  for (const { element, items } of articles) {
    let here = 0;
    for (const { item, text, reasons, score, marks } of items) {
      const fits = statuses.includes(item.dataset.status)
        && (!wanted.get("category") || item.dataset.category === wanted.get("category"))
        && (!wanted.get("reason") || reasons.includes(wanted.get("reason")))
        && (!wanted.get("judge") || item.dataset.judge === wanted.get("judge"))
        && within(score, wanted)
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
  const sort = wanted.get("sort") ?? "";
  if (sort || ordered) order(wanted);
  ordered = sort;
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
// An object's own address: its caption has the focus, and its outline lights up.
function reach() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  const found = key && articles.flatMap(({ items }) => items).find(({ item }) => item.dataset.key === key);
  found?.item.focus();
}
addEventListener("keydown", (event) => {
  if (event.key === "f" && !event.target.closest("input, select")) form.elements.fill.click();
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => { filter(); remember(); });
addEventListener("hashchange", () => { recall(); filter(); reach(); });
recall();
filter();
reach();
