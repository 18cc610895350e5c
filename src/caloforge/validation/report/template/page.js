// Pages by hash, figures when they are near, sorting, saving. Without JavaScript everything is simply shown.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const pages = all(".page"), links = all("nav a[data-page]");

  // Figures lie in <noscript>, which is plain text here: they become part of the page when they are near.
  const draw = (plate) => {
    const kept = plate.querySelector("noscript");
    if (!kept) return;
    const made = document.createElement("template");
    made.innerHTML = kept.textContent;
    kept.replaceWith(made.content);
    plate.dispatchEvent(new CustomEvent("drawn", { bubbles: true }));
  };
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) { near.unobserve(target); draw(target); }
  }, { rootMargin: "800px 0px" });
  for (const plate of all(".plate")) near.observe(plate);
  const drawAll = () => all(".plate").forEach(draw);
  addEventListener("beforeprint", drawAll);
  matchMedia("print").addEventListener("change", (event) => event.matches && drawAll());

  // Pages
  const open = (page) => {
    const change = !page.classList.contains("open");
    for (const other of pages) other.classList.toggle("open", other === page);
    for (const link of links) {
      if (link.dataset.page === page.id) {
        link.setAttribute("aria-current", "page");
        const strip = link.parentElement;
        strip.scrollLeft = link.offsetLeft - strip.offsetLeft - strip.clientWidth / 2 + link.clientWidth / 2;
      } else link.removeAttribute("aria-current");
    }
    page.dispatchEvent(new CustomEvent("opened", { bubbles: true }));
    return change;
  };
  const route = (first) => {
    let name = location.hash.slice(1);
    try { name = decodeURIComponent(name); } catch { /* as it is */ }
    const target = (name && document.getElementById(name)) || pages[0];
    const page = target.closest(".page") ?? pages[0];
    const change = open(page);
    for (const other of all(".lit")) other.classList.remove("lit");
    if (target.matches("figure")) {
      target.hidden = false;
      all(".plate", target).forEach(draw);
      target.classList.add("lit");
      target.scrollIntoView({ block: "start" });
      target.focus({ preventScroll: true });
    } else if (target !== page) target.scrollIntoView();
    else if (change && !first) {
      scrollTo(0, 0);
      document.getElementById("main").focus({ preventScroll: true });
    }
  };
  addEventListener("hashchange", () => route(false));

  // Tables sort by a click on a head, and are searched
  for (const table of all("table.sortable")) {
    const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
    const value = (row, i) => {
      const cell = row.cells[i], text = cell.dataset.value ?? cell.textContent.trim();
      const found = parseFloat(text.replace("−", "-"));
      return Number.isNaN(found) ? (cell.classList.contains("num") ? null : text.toLowerCase()) : found;
    };
    heads.forEach((head, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") === "descending" || (!head.classList.contains("num") && !head.hasAttribute("aria-sort"));
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].map((row) => [value(row, i), row]);
        rows.sort(([x], [y]) => {
          if (x === null || y === null) return (x === null) - (y === null); // what is not known stays last
          const order = typeof x === typeof y ? (x < y ? -1 : x > y ? 1 : 0) : typeof x === "number" ? -1 : 1;
          return up ? order : -order;
        });
        body.append(...rows.map(([, row]) => row));
      });
    });
  }
  for (const input of all("input[data-search]")) {
    const rows = all("tr[data-find]", input.closest(".page"));
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) row.hidden = !wanted.every((word) => row.dataset.find.includes(word));
    });
  }

  // Saving a figure's data or picture
  const csv = ({ columns, parts }) => {
    const several = parts.length > 1;
    const quote = (v) => (v === null ? "" : /[",\n]/.test(v) ? `"${String(v).replaceAll('"', '""')}"` : v);
    const lines = [(several ? ["part", ...columns] : columns).map(quote)];
    for (const { name, values } of parts) values[0].forEach((_, i) => lines.push([...(several ? [name] : []), ...values.map((column) => column[i])].map(quote)));
    return lines.map((line) => line.join(",") + "\n").join("");
  };
  const alone = (svg) => { // with its words and in the colours of the page as it is
    const copy = svg.cloneNode(true), style = getComputedStyle(svg);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    const keys = new Set(all("use", copy).map((use) => use.getAttribute("href").slice(1)));
    const defs = document.createElementNS("http://www.w3.org/2000/svg", "defs");
    for (const key of keys) defs.append(document.getElementById(key).cloneNode(true));
    copy.prepend(defs);
    return new XMLSerializer().serializeToString(copy).replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim() || "currentColor");
  };
  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-save]");
    if (!button) return;
    const figure = button.closest("figure"), name = figure.dataset.name, kind = button.dataset.save;
    const text = figure.querySelector('script[type="application/json"]')?.textContent;
    if (kind === "json") save(`${name}.json`, "application/json", text);
    else if (kind === "csv") save(`${name}.csv`, "text/csv", csv(JSON.parse(text)));
    else {
      all(".plate", figure).forEach(draw);
      const drawn = all("svg.plot", figure);
      drawn.forEach((svg, i) => save(drawn.length > 1 ? `${name}-${i}.svg` : `${name}.svg`, "image/svg+xml", alone(svg)));
    }
  });

  // Light and dark
  document.querySelector("button.theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("caloforge-theme", root.dataset.theme); } catch { /* forgotten when the page closes */ }
    document.dispatchEvent(new Event("theme"));
  });

  route(true);
})();
