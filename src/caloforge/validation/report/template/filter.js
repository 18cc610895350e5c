// Which figures of a page are shown, and in which order.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const pages = all(".page"), figures = all("figure.card"), tools = document.querySelector(".tools");
  const words = document.getElementById("filter"), beyond = document.getElementById("beyond"), sort = document.getElementById("sort");
  const fits = (figure, wanted) =>
    (!beyond.checked || "off" in figure.dataset) &&
    wanted.layers.every((layer) => figure.dataset.layer === layer) &&
    wanted.words.every((word) => figure.dataset.find.includes(word));
  const read = (text) => {
    const layers = [];
    const rest = text.toLowerCase().replace(/\blayer\s*(\d+)/g, (_, layer) => { layers.push(layer); return ""; });
    return { layers, words: rest.split(/\s+/).filter(Boolean) };
  };
  const filter = () => {
    const wanted = read(words.value);
    const active = beyond.checked || wanted.layers.length + wanted.words.length > 0;
    for (const page of pages) {
      if (!("figures" in page.dataset)) continue;
      const here = all("figure.card", page);
      let count = 0;
      for (const figure of here) { figure.hidden = !fits(figure, wanted); count += !figure.hidden; }
      for (const grid of all(".grid", page)) {
        grid.hidden = !grid.querySelector("figure:not([hidden])");
        const head = grid.previousElementSibling;
        if (head?.matches("h3.group")) head.hidden = grid.hidden || sort.value === "excess";
      }
      page.querySelector(".none").hidden = count > 0 || here.length === 0;
      const badge = document.querySelector(`nav a[data-page="${page.id}"] .count`);
      badge.textContent = active && here.length ? `${count}/${badge.dataset.total}` : badge.dataset.total;
      if (page.classList.contains("open")) document.getElementById("shown").textContent = active ? `${count} of ${here.length} figures` : `${here.length} figure${here.length === 1 ? "" : "s"}`;
    }
  };
  const homes = new Map(figures.map((figure, i) => [figure, [figure.parentElement, i]]));
  const arrange = () => {
    for (const page of pages) {
      if (!("figures" in page.dataset)) continue;
      const here = all("figure.card", page);
      if (sort.value === "excess") {
        const grid = page.querySelector(".grid");
        grid?.append(...here.sort((a, b) => b.dataset.excess - a.dataset.excess || homes.get(a)[1] - homes.get(b)[1]));
      } else for (const figure of here.sort((a, b) => homes.get(a)[1] - homes.get(b)[1])) homes.get(figure)[0].append(figure);
    }
    filter();
  };
  words.addEventListener("input", filter);
  beyond.addEventListener("change", filter);
  sort.addEventListener("change", arrange);

  document.addEventListener("opened", ({ target: page }) => {
    tools.hidden = !("figures" in page.dataset) || page.querySelectorAll("figure.card").length < 2;
    filter();
  });
})();
