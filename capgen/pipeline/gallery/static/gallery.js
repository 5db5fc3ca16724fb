"use strict";
const $ = (selector, within = document) => within.querySelector(selector);
const typing = (event) => event.target.closest("input, select, textarea");

// The mask and the caption of one object light up together.
function light(article, number) {
  article.classList.toggle("lit", number !== null);
  for (const part of article.querySelectorAll("[data-n]")) part.classList.toggle("hot", part.dataset.n === number);
}
function onPart(event) {
  const article = event.target.closest?.("article");
  for (const lit of document.querySelectorAll("article.lit")) if (lit !== article) light(lit, null);
  if (article) light(article, event.target.closest("[data-n]")?.dataset.n ?? null);
}
addEventListener("pointerover", onPart);
addEventListener("focusin", onPart);
addEventListener("click", (event) => {
  const mark = event.target.closest?.("g[data-n]");
  if (mark) $(`li[data-n="${mark.dataset.n}"]`, mark.closest("article"))?.focus();
});

// A number has the same size in every picture, however large the picture is in the page.
function size() {
  for (const svg of document.querySelectorAll("figure svg")) {
    if (svg.clientWidth) svg.style.setProperty("--label", `${(14 * svg.viewBox.baseVal.width) / svg.clientWidth}px`);
  }
}
addEventListener("resize", size);
addEventListener("htmx:afterSettle", size);
addEventListener("load", size, true);

// The filters go into the address without those that are empty.
addEventListener("htmx:configRequest", (event) => {
  const form = event.target.closest?.("#filters");
  if (!form) return;
  const wanted = new FormData();
  const usual = { sort: "plan", size: "50", seed: "0" };
  for (const [name, value] of new FormData(form)) {
    if (value !== "" && usual[name] !== value) wanted.append(name, value);
  }
  event.detail.formData = wanted;
  event.detail.parameters = event.detail.formData;
});

// Keys: j and k go through the captions, g, b and e judge the one that has the focus.
function step(by) {
  const items = [...document.querySelectorAll("main li")];
  const at = items.indexOf(document.activeElement?.closest("li"));
  items[Math.min(items.length - 1, Math.max(0, at + by))]?.focus();
}
function judge(word) {
  const item = document.activeElement?.closest("main li");
  if (!item) return;
  if (word === "good") { $("button[value=good]", item)?.click(); return; }
  const part = [...item.querySelectorAll("details.more")].find((one) => $(`button[value=${word}]`, one));
  if (part) { part.open = true; $("input[name=why], textarea", part)?.focus(); }
}
function fill(event) {
  document.body.classList.toggle("filled", event.target.checked);
}
const keys = {
  j: () => step(1),
  k: () => step(-1),
  g: () => judge("good"),
  b: () => judge("bad"),
  e: () => judge("edit"),
  o: () => $("small a", document.activeElement?.closest("main li") ?? undefined)?.click(),
  f: () => $("#fill")?.click(),
  n: () => $("a[rel=next]")?.click(),
  p: () => $("a[rel=prev]")?.click(),
  "/": () => $("#q")?.focus(),
  " ": () => $("#play")?.click(),
};
addEventListener("keydown", (event) => {
  if (event.key === "Escape") { document.activeElement?.closest("li")?.focus(); return; }
  if (typing(event) || event.target.closest("button, summary, a") || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = keys[event.key];
  if (act && (event.key !== " " || $("#play"))) { event.preventDefault(); act(); }
});
// The box for filling is no filter: its change must not reach the form, which would fetch the whole list again.
addEventListener("change", (event) => {
  if (event.target.id !== "fill") return;
  event.stopPropagation();
  fill(event);
}, true);
addEventListener("DOMContentLoaded", () => {
  const box = $("#fill");
  if (box) document.body.classList.toggle("filled", box.checked);
  const chosen = new URLSearchParams(location.search).get("key");
  if (chosen) {
    const item = [...document.querySelectorAll("main li")].find((li) => $("input[name=key]", li)?.value === chosen);
    item?.classList.add("current");
    if (item) light(item.closest("article"), item.dataset.n);
  }
  size();
  const player = $("#player");
  if (player) play(player);
});

// A video: frames and the outlines of its tracks are fetched a little ahead, and shown together.
function play(player) {
  const { frames, picture, tracks, fps } = player.dataset;
  const count = Number(frames), chunk = 16;
  const image = $("img", player), svg = $("svg", player), slider = $("#frame"), button = $("#play"), rate = $("#fps");
  const pictures = new Map(), drawn = new Map(), chunks = new Map();
  const classes = new Map([...document.querySelectorAll("main li")].map((li) => [li.dataset.n, li.className]));
  let now = Number(slider.value), timer = null;

  function fetched(frame) {
    if (!pictures.has(frame)) {
      const one = new Image();
      one.src = `${picture}&frame=${frame}`;
      pictures.set(frame, one.decode().then(() => one, () => one));
    }
    const first = Math.floor(frame / chunk) * chunk;
    if (!chunks.has(first)) {
      chunks.set(first, fetch(`${tracks}&first=${first}&count=${chunk}`).then((answer) => answer.json()).then((found) => {
        for (const [index, marks] of Object.entries(found)) drawn.set(Number(index), marks);
      }));
    }
    return Promise.all([pictures.get(frame), chunks.get(first)]);
  }
  const make = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  function draw(frame) {
    svg.replaceChildren(...(drawn.get(frame) ?? []).map(([number, path, x, y]) => {
      const known = classes.get(String(number)) ?? "";
      const group = make("g", { "data-n": number, class: known });
      const label = make("text", { x, y: Math.max(y, 0.05 * Number(player.dataset.height)) });
      label.textContent = number;
      group.append(...["edge", "rim", "line"].map((name) => make("path", { class: name, d: path })), label);
      return group;
    }));
    const hot = $("li.hot", player.closest("article"));
    if (hot) light(player.closest("article"), hot.dataset.n);
    $("#where").value = `frame ${frame + 1} of ${count}`;
  }
  async function show(frame) {
    now = frame;
    const [one] = await fetched(frame);
    if (now !== frame) return;
    image.src = one.src;
    slider.value = frame;
    draw(frame);
    for (let ahead = 1; ahead <= 4 && frame + ahead < count; ahead += 1) fetched(frame + ahead);
  }
  async function next() {
    const begun = performance.now();
    await show((now + 1) % count);
    if (timer !== null) timer = setTimeout(next, Math.max(0, 1000 / (Number(rate.value) || fps) - (performance.now() - begun)));
  }
  button.addEventListener("click", () => {
    const on = timer === null;
    button.textContent = on ? "pause" : "play";
    button.setAttribute("aria-pressed", on);
    if (on) timer = setTimeout(next, 0);
    else { clearTimeout(timer); timer = null; }
  });
  slider.addEventListener("input", () => show(Number(slider.value)));
  show(now);
}
