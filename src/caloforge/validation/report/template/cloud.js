// Showers in space: all of a figure turn together; drag to turn, wheel or pinch to zoom, arrow keys too.
"use strict";
(() => {
  const MOST = 6000, STOPS = {
    light: [[196, 206, 222], [111, 143, 208], [138, 63, 160], [212, 67, 15]],
    dark: [[52, 72, 108], [90, 127, 214], [214, 106, 186], [255, 214, 110]],
  };
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const isDark = () => getComputedStyle(document.documentElement).colorScheme.trim() === "dark";
  const shades = () => Array.from({ length: 32 }, (_, i) => {
    const stops = STOPS[isDark() ? "dark" : "light"], at = (i / 31) * 2.999, k = Math.floor(at), f = at - k;
    return `rgb(${stops[k].map((v, j) => Math.round(v + f * (stops[k + 1][j] - v))).join(" ")})`;
  });

  class Cloud {
    constructor(figure) {
      this.figure = figure;
      const data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
      this.size = data.size;
      this.turn = -0.9; this.tilt = 0.35; this.visible = false; this.held = false; this.moved = false;
      const energies = data.parts.flatMap((part) => part.values[3].filter((e) => e > 0));
      const top = energies.reduce((a, b) => Math.max(a, b), 0) || 1;
      const low = Math.max(energies.reduce((a, b) => Math.min(a, b), top), top * 1e-4);
      this.showers = data.parts.map(({ name, role, values: [x, y, z, e] }) => {
        const rows = [...e.keys()].filter((i) => e[i] > 0).sort((a, b) => e[b] - e[a]).slice(0, MOST);
        return { name, role, hits: rows.map((i) => [x[i], y[i], z[i], Math.min(1, Math.max(0, Math.log(e[i] / low) / Math.log(top / low || 2)))]) };
      });
      this.radius = Math.hypot(...this.size) / 2;
      // turn about a point between the middles of Geant4's shower and of the detector, not far away
      const [x, y, z, e] = data.parts[0].values, sum = e.reduce((a, b) => a + b, 0);
      const box = [0, 0, this.size[2] / 2];
      this.middle = [x, y, z].map((v, k) => (sum > 0 ? (box[k] + v.reduce((a, b, i) => a + b * e[i], 0) / sum) / 2 : box[k]));
      const far = this.showers.flatMap(({ hits }) => hits.map((hit) => Math.hypot(...this.middle.map((v, k) => hit[k] - v)))).sort((a, b) => a - b);
      this.start = this.zoom = Math.min(1.2, Math.max(0.8, (0.8 * this.radius) / (far[Math.floor(0.97 * far.length)] || this.radius)));
      this.grow = Math.min(2.2, Math.max(1, Math.sqrt(900 / Math.max(1, ...this.showers.map(({ hits }) => hits.length))))); // few cells are large ones
      this.canvases = [...figure.querySelectorAll(".plate")].map((plate, i) => this.canvas(plate, this.showers[i]));
      this.watch();
      this.paint();
    }
    canvas(plate, shower) {
      const canvas = document.createElement("canvas"), label = document.createElement("b");
      canvas.tabIndex = 0;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${shower.name}: ${shower.hits.length} hits in space; arrow keys turn, plus and minus zoom`);
      label.textContent = shower.name;
      plate.classList.add("live");
      plate.append(canvas, label);
      const touches = new Map();
      canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); touches.set(event.pointerId, event); this.held = this.moved = true; });
      canvas.addEventListener("pointermove", (event) => {
        const before = touches.get(event.pointerId);
        if (!before) return;
        if (touches.size === 2) {
          const other = [...touches.values()].find((t) => t.pointerId !== event.pointerId);
          const apart = (t) => Math.hypot(t.clientX - other.clientX, t.clientY - other.clientY) || 1;
          this.magnify(apart(event) / apart(before));
        } else this.rotate(0.008 * (event.clientX - before.clientX), 0.008 * (event.clientY - before.clientY));
        touches.set(event.pointerId, event);
      });
      for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => { touches.delete(event.pointerId); this.held = touches.size > 0; });
      canvas.addEventListener("wheel", (event) => { if (!event.ctrlKey && !this.moved) return; event.preventDefault(); this.magnify(Math.exp(-0.0015 * event.deltaY)); }, { passive: false });
      canvas.addEventListener("keydown", (event) => {
        const act = { ArrowLeft: () => this.rotate(-0.1, 0), ArrowRight: () => this.rotate(0.1, 0), ArrowUp: () => this.rotate(0, -0.1), ArrowDown: () => this.rotate(0, 0.1), "+": () => this.magnify(1.15), "-": () => this.magnify(1 / 1.15) }[event.key];
        if (act) { event.preventDefault(); this.moved = true; act(); }
      });
      canvas.addEventListener("dblclick", () => { this.turn = -0.9; this.tilt = 0.35; this.zoom = this.start; this.moved = false; this.paint(); this.spin(); });
      return canvas;
    }
    rotate(a, b) { this.turn += a; this.tilt = Math.min(1.5, Math.max(-1.5, this.tilt + b)); this.paint(); }
    magnify(by) { this.zoom = Math.min(12, Math.max(0.5, this.zoom * by)); this.paint(); }
    watch() {
      new IntersectionObserver((entries) => { this.visible = entries.at(-1).isIntersecting; this.spin(); }).observe(this.figure);
      new ResizeObserver(() => this.paint()).observe(this.canvases[0]);
      document.addEventListener("theme", () => this.paint());
      document.addEventListener("visibilitychange", () => this.spin());
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
      calm.addEventListener("change", () => this.spin());
    }
    spin() {
      if (this.running) return;
      let last = 0;
      const step = (now) => {
        this.running = this.visible && !document.hidden && !calm.matches && !this.moved;
        if (!this.running) return;
        if (now - last > 30) { this.turn += 0.00035 * Math.min(now - last, 60); last = now; this.paint(); }
        requestAnimationFrame(step);
      };
      this.running = true;
      requestAnimationFrame(step);
    }
    paint() {
      this.colours = shades();
      const style = getComputedStyle(this.figure);
      this.line = style.getPropertyValue("--floor"); this.ink = style.getPropertyValue("--ink");
      this.canvases.forEach((canvas, i) => this.draw(canvas, this.showers[i]));
    }
    draw(canvas, { hits }) {
      const dense = Math.min(devicePixelRatio || 1, 2), wide = canvas.clientWidth * dense, high = canvas.clientHeight * dense;
      if (!wide || !high) return;
      if (canvas.width !== Math.round(wide)) { canvas.width = Math.round(wide); canvas.height = Math.round(high); }
      const pen = canvas.getContext("2d"), far = 3.4 * this.radius, scale = (1.6 * Math.min(wide, high) * this.zoom) / this.radius;
      const [ct, st, cp, sp] = [Math.cos(this.turn), Math.sin(this.turn), Math.cos(this.tilt), Math.sin(this.tilt)];
      const [mx, my, mz] = this.middle;
      const seen = (point) => { // right, up and towards the eye
        const [x, y, z] = [point[0] - mx, point[1] - my, point[2] - mz];
        const right = ct * x - st * z, away = st * x + ct * z;
        const near = -cp * away + sp * y, up = cp * y + sp * away, f = scale * this.radius / (far - near);
        return [wide / 2 + f * right, high / 2 - f * up, near, f];
      };
      pen.clearRect(0, 0, wide, high);
      this.frame(pen, seen, dense);
      const drawn = hits.map((hit) => { const at = seen(hit); at.push(hit[3]); return at; }).sort((a, b) => a[2] - b[2]);
      for (const [x, y, , f, share] of drawn) {
        const side = Math.max(1.2 * dense, f * this.radius * this.grow * (0.008 + 0.022 * share));
        pen.globalAlpha = 0.55 + 0.45 * share;
        pen.fillStyle = this.colours[Math.round(31 * share)];
        pen.fillRect(x - side / 2, y - side / 2, side, side);
      }
      pen.globalAlpha = 1;
    }
    frame(pen, seen, dense) {
      const [a, b, c] = this.size.map((v) => v / 2), corners = [];
      for (const x of [-a, a]) for (const y of [-b, b]) for (const z of [0, 2 * c]) corners.push([x, y, z]);
      const line = (p, q) => { const [from, to] = [seen(p), seen(q)]; pen.moveTo(from[0], from[1]); pen.lineTo(to[0], to[1]); };
      pen.lineWidth = dense; pen.strokeStyle = this.line; pen.globalAlpha = 0.7; pen.beginPath();
      for (let i = 0; i < 8; i++) for (const bit of [1, 2, 4]) if (!(i & bit)) line(corners[i], corners[i | bit]);
      pen.stroke();
      pen.globalAlpha = 1; pen.strokeStyle = pen.fillStyle = this.ink; pen.lineWidth = 1.6 * dense; pen.beginPath();
      line([0, 0, -0.32 * c], [0, 0, 0]);
      pen.stroke();
      const [tip, tail] = [seen([0, 0, 0]), seen([0, 0, -0.32 * c])], long = Math.hypot(tip[0] - tail[0], tip[1] - tail[1]);
      if (long > 4 * dense) {
        const [ux, uy] = [(tip[0] - tail[0]) / long, (tip[1] - tail[1]) / long], s = 6 * dense;
        pen.beginPath(); pen.moveTo(tip[0], tip[1]); pen.lineTo(tip[0] - s * ux + 0.5 * s * uy, tip[1] - s * uy - 0.5 * s * ux); pen.lineTo(tip[0] - s * ux - 0.5 * s * uy, tip[1] - s * uy + 0.5 * s * ux); pen.fill();
      }
    }
  }

  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) { near.unobserve(target); new Cloud(target); }
  }, { rootMargin: "300px 0px" });
  for (const figure of document.querySelectorAll("figure.cloud")) near.observe(figure);
})();
