"use strict";
// Draws the charts of a report from the JSON beside it: lines with bands, and maps. All text is set as text.

const charts = JSON.parse(document.getElementById("charts").textContent);
const SVG = "http://www.w3.org/2000/svg";
const DASHES = ["", "7 4", "2 3", "9 3 2 3"];

function make(name, attributes = {}, ...children) {
  const drawn = ["svg", "g", "path", "line", "rect", "circle", "text", "polyline"].includes(name);
  const node = drawn ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// ---- numbers and axes

const compact = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

function format(value) {
  if (value === null || value === undefined) return "none";
  return value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(2) : compact.format(value);
}

function niceTicks(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) ticks.push(i * step || 0);
  return ticks;
}

// A map from data to pixels, as a function with its ticks; `log` counts doublings.
function scale(low, high, from, to, log, ticks) {
  const warp = log ? Math.log2 : (value) => value;
  if (low === high) { low = log ? low / 2 : low - 0.5; high = log ? high * 2 : high + 0.5; }
  const map = (value) => from + (to - from) * (warp(value) - warp(low)) / (warp(high) - warp(low));
  map.ticks = ticks ?? niceTicks(low, high, Math.max(2, Math.abs(to - from) / (Math.abs(from) > Math.abs(to) ? 44 : 80)));
  return map;
}

function extent(values) {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
}

// Ticks that stand at least `gap` pixels apart.
function spaced(ticks, map, gap) {
  let last = -Infinity;
  return ticks.filter((tick) => Math.abs(map(tick) - last) >= gap && ((last = map(tick)), true));
}

function colour(tone, share) {
  return `color-mix(in oklab, var(--${tone}) ${Math.round(100 * share)}%, var(--paper))`;
}

// Style properties may hold var(); the page's policy lets scripts set them, and no markup.
function paint(node, properties) {
  for (const [name, value] of Object.entries(properties)) node.style.setProperty(name, value);
  return node;
}

// ---- lines

function path(xs, ys) {
  let text = "", down = false;
  xs.forEach((x, i) => {
    if (ys[i] === null) { down = false; return; }
    text += `${down ? "L" : "M"}${x.toFixed(1)} ${ys[i].toFixed(1)}`;
    down = true;
  });
  return text;
}

const through = (map, values) => values.map((value) => (value === null ? null : map(value)));

// Bars for separate points, an area for curves.
function bars(line, x, y) {
  return line.x.map((at, i) => (line.low?.[i] == null ? "" :
    `M${x(at).toFixed(1)} ${y(line.low[i]).toFixed(1)}V${y(line.high[i]).toFixed(1)}`)).join("");
}

function band(line, x, y) {
  const there = line.x.map((_, i) => i).filter((i) => line.low?.[i] != null && line.high?.[i] != null);
  if (there.length < 2) return "";
  const top = there.map((i) => `${x(line.x[i]).toFixed(1)} ${y(line.high[i]).toFixed(1)}`);
  const bottom = there.map((i) => `${x(line.x[i]).toFixed(1)} ${y(line.low[i]).toFixed(1)}`).reverse();
  return `M${[...top, ...bottom].join("L")}Z`;
}

function axes(svg, box, x, y, chart) {
  for (const tick of y.ticks) {
    svg.append(make("line", { class: "grid", x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }));
    svg.append(make("text", { x: box.left - 7, y: y(tick) + 4, "text-anchor": "end" }, short.format(tick)));
  }
  for (const tick of spaced(x.ticks, x, chart.log ? 26 : 48)) {
    svg.append(make("text", { x: x(tick), y: box.bottom + 18, "text-anchor": "middle" },
      chart.log ? String(tick) : short.format(tick)));
  }
  svg.append(make("line", { class: "grid", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
  svg.append(make("text", { x: (box.left + box.right) / 2, y: box.bottom + 36, "text-anchor": "middle" }, chart.x));
  svg.append(make("text", { x: 2, y: 12 }, chart.y));
}

function drawLine(line, x, y) {
  const shade = colour(line.tone, 0.35 + 0.65 * line.shade), group = make("g");
  for (const span of line.spans ?? []) {
    const low = x(span.low), high = x(span.high);
    group.append(paint(make("rect", { class: "span", x: low - 2, width: high - low + 4, y: y.top, height: y.bottom - y.top }),
      { fill: shade }));
    group.append(paint(make("line", { class: "at", x1: x(span.at), x2: x(span.at), y1: y.top, y2: y.bottom }),
      { stroke: shade }));
  }
  for (const mark of line.marks ?? []) {
    group.append(paint(make("line", { class: "at", x1: x(mark.at), x2: x(mark.at), y1: y.top, y2: y.bottom }),
      { stroke: shade }));
  }
  if (line.bars) {
    group.append(paint(make("path", { class: "line", d: bars(line, x, y) }), { stroke: shade }));
    line.x.forEach((at, i) => group.append(paint(make("circle", { cx: x(at), cy: y(line.y[i]), r: 4 }), { fill: shade })));
    return group;
  }
  group.append(paint(make("path", { class: "band", d: band(line, x, y) }), { fill: shade }));
  for (const [at, value] of line.dots ?? []) {
    if (value !== null) group.append(paint(make("circle", { class: "dot", cx: x(at), cy: y(value), r: 2.6 }), { fill: shade }));
  }
  const attributes = { class: "line", d: path(line.x.map(x), through(y, line.y)), "stroke-dasharray": DASHES[line.dash] };
  group.append(paint(make("path", attributes), { stroke: shade }));
  if (line.x.length === 1 && line.y[0] !== null) {
    group.append(paint(make("circle", { cx: x(line.x[0]), cy: y(line.y[0]), r: 4 }), { fill: shade }));
  }
  return group;
}

function drawLines(chart, lines, width) {
  const height = Math.round(Math.min(340, Math.max(230, width * 0.62)));
  const box = { left: 50, right: width - 12, top: 26, bottom: height - 44 };
  const xs = lines.flatMap((line) => [...line.x, ...(line.marks ?? []).map((mark) => mark.at)]);
  const ys = lines.flatMap((line) => [...line.y, ...(line.low ?? []), ...(line.high ?? []),
    ...(line.dots ?? []).map((dot) => dot[1])]);
  const ticks = chart.log ? [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b) : undefined;
  const x = scale(...extent(xs), box.left + 8, box.right - 8, chart.log, ticks);
  if (chart.zero) ys.push(0);
  const [low, high] = extent(ys);
  const y = scale(low > 0 && low < 0.4 * high ? 0 : low, high, box.bottom - 6, box.top + 6, false);
  [y.top, y.bottom] = [box.top, box.bottom];
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height });
  axes(svg, box, x, y, chart);
  if (chart.zero) svg.append(make("line", { class: "cursor", x1: box.left, x2: box.right, y1: y(0), y2: y(0) }));
  const groups = lines.map((line) => drawLine(line, x, y));
  svg.append(...groups);
  return { svg, box, x, y, groups };
}

// ---- maps of goal difficulty

function drawMap(chart, width) {
  const rows = chart.rows.length, columns = chart.columns.length;
  const box = { left: 58, right: width - 6, top: 26 };
  const high = Math.min(40, Math.max(22, 260 / rows));
  const wide = (box.right - box.left) / columns;
  box.bottom = box.top + rows * high;
  const height = box.bottom + 44;
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height });
  const [low, top] = chart.range, cells = [];
  for (let i = 0; i < rows; i++) {
    const y = box.bottom - (i + 1) * high;  // the nearest goals stand lowest
    svg.append(make("text", { x: box.left - 7, y: y + high / 2 + 4, "text-anchor": "end" }, chart.rows[i]));
    for (let j = 0; j < columns; j++) {
      const value = chart.values[i][j];
      let share = value === null ? 0 : top > low ? (value - low) / (top - low) : 0.5;
      if (chart.lowIsGood && value !== null) share = 1 - share;
      const x = box.left + j * wide, cell = { row: i, column: j, x: x + wide / 2, y: y + high / 2 };
      svg.append(paint(make("rect", { x: x + 0.5, y: y + 0.5, width: wide - 1, height: high - 1 }),
        { fill: value === null ? "none" : colour(chart.tone, 0.06 + 0.88 * share), stroke: value === null ? "var(--rule)" : "none" }));
      if (wide > 34 && value !== null) {
        const text = short.format(value);
        svg.append(make("text", { class: share > 0.55 ? "cell on" : "cell", x: cell.x, y: cell.y + 4 }, text));
      }
      cells.push(cell);
    }
    const place = chart.columns.indexOf(chart.critical[i]);
    if (place >= 0) svg.append(make("rect", { class: "critical", x: box.left + place * wide + 2, y: y + 2, width: wide - 4, height: high - 4 }));
  }
  chart.columns.forEach((depth, j) => {
    if (wide > 26 || j % 2 === 0) {
      svg.append(make("text", { x: box.left + (j + 0.5) * wide, y: box.bottom + 17, "text-anchor": "middle" }, String(depth)));
    }
  });
  svg.append(make("text", { x: (box.left + box.right) / 2, y: box.bottom + 36, "text-anchor": "middle" }, chart.x));
  svg.append(make("text", { x: 2, y: 12 }, chart.y));
  return { svg, box, cells };
}

// ---- what a pointer or the arrow keys are at

function tellLine(line, i) {
  let text = `${line.labels?.[i] ?? line.name}: ${format(line.y[i])}`;
  if (line.low?.[i] != null) text += ` [${format(line.low[i])}, ${format(line.high[i])}]`;
  return line.note ? `${text}, ${line.note}` : text;
}

function tellCell(chart, cell) {
  const { row, column } = cell, critical = chart.critical[row];
  const seeds = chart.seeds[row][column];
  return [`goal distance ${chart.rows[row]}, depth ${chart.columns[column]}`,
    `${chart.z}: ${format(chart.values[row][column])}${seeds ? `, ${seeds} seed${seeds > 1 ? "s" : ""}` : ""}`,
    `critical depth: ${critical === null ? "none" : critical}`];
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.chart = charts[figure.dataset.chart];
    this.plot = figure.querySelector(".plot");
    this.tip = make("div", { class: "tip", hidden: "", "aria-live": "polite" });
    this.key = make("div", { class: "key" });
    figure.append(this.key, this.tip);
    this.off = new Set();  // "block:looped" and the like
    this.at = null;
    this.width = 0;
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  get lines() {
    const shown = (line) => !Object.entries(line.keys).some(([key, value]) => this.off.has(`${key}:${value}`));
    return this.chart.lines.filter(shown);
  }

  draw(force = false) {
    const width = this.plot.clientWidth;
    if (!width || (width === this.width && !force)) return;
    this.width = width;
    const isMap = this.chart.kind === "map";
    this.drawn = isMap ? drawMap(this.chart, width) : drawLines(this.chart, this.lines, width);
    const svg = this.drawn.svg;
    svg.setAttribute("role", "img");
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("aria-label", `${this.chart.title}. Arrow keys read the values.`);
    svg.addEventListener("pointermove", (event) => this.point(event));
    svg.addEventListener("pointerdown", (event) => this.point(event));
    svg.addEventListener("pointerleave", () => this.leave());
    svg.addEventListener("blur", () => this.leave());
    svg.addEventListener("keydown", (event) => this.step(event));
    this.plot.replaceChildren(svg);
    this.tip.hidden = true;
    this.at = null;
    if (!isMap) this.drawKey();
  }

  drawKey() {
    this.key.replaceChildren(...this.lines.map((line) => {
      const shade = colour(line.tone, 0.35 + 0.65 * line.shade);
      const sample = make("svg", { width: 26, height: 10, "aria-hidden": "true" },
        paint(make("path", { d: "M1 5H25", class: "line", "stroke-dasharray": DASHES[line.dash] }), { stroke: shade }));
      return make("span", {}, sample, line.note ? `${line.name} (${line.note})` : line.name);
    }));
  }

  point(event) {
    const frame = this.drawn.svg.getBoundingClientRect();
    const x = event.clientX - frame.left, y = event.clientY - frame.top;
    let best = null, least = Infinity;
    const offer = (place, dx, dy) => {
      if (dx * dx + dy * dy < least) { least = dx * dx + dy * dy; best = place; }
    };
    if (this.chart.kind === "map") {
      this.drawn.cells.forEach((cell, i) => offer([i], cell.x - x, cell.y - y));
    } else {
      this.lines.forEach((line, i) => line.x.forEach((at, j) => {
        if (line.y[j] !== null) offer([i, j], this.drawn.x(at) - x, this.drawn.y(line.y[j]) - y);
      }));
    }
    if (best) this.show(best);
  }

  step(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.key === "Escape") this.leave();
    if (!(event.key in moves)) return;
    event.preventDefault();
    const [along, across] = moves[event.key], within = (i, count) => Math.min(Math.max(i, 0), count - 1);
    if (this.chart.kind === "map") {
      const columns = this.chart.columns.length, last = this.at?.[0] ?? -1;
      if (last < 0) { this.show([0]); return; }
      const row = within(Math.floor(last / columns) + across, this.chart.rows.length);
      this.show([row * columns + within(last % columns + along, columns)]);
    } else if (this.lines.length) {
      if (!this.at) { this.show([0, 0]); return; }
      const line = within(this.at[0] + across, this.lines.length);
      this.show([line, within(this.at[1] + along, this.lines[line].x.length)]);
    }
  }

  show(at) {
    this.at = at;
    this.mark?.remove();
    const { svg, box } = this.drawn;
    let x, y, words;
    if (this.chart.kind === "map") {
      const cell = this.drawn.cells[at[0]];
      [x, y, words] = [cell.x, cell.y, tellCell(this.chart, cell)];
      this.mark = make("circle", { cx: x, cy: y, r: 3, class: "cursor", fill: "none" });
    } else {
      const line = this.lines[at[0]], here = line.x[at[1]];
      x = this.drawn.x(here);
      y = line.y[at[1]] === null ? box.top : this.drawn.y(line.y[at[1]]);
      words = [`${this.chart.log ? this.chart.x.replace(/ \(.*/, "") : "step"} ${compact.format(here)}`];
      const few = this.lines.length <= 4;
      this.lines.forEach((other, i) => {
        const j = other.x.indexOf(here);
        if (j >= 0 && (few || i === at[0])) words.push(tellLine(other, j));
        if (!few) this.drawn.groups[i].classList.toggle("dim", i !== at[0]);
      });
      this.mark = make("line", { class: "cursor", x1: x, x2: x, y1: box.top, y2: box.bottom });
    }
    svg.append(this.mark);
    this.tip.replaceChildren(...words.map((text) => make("div", {}, text)));
    this.tip.hidden = false;
    const left = this.plot.offsetLeft + x, room = this.figure.clientWidth - this.tip.offsetWidth;
    paint(this.tip, { left: `${Math.max(0, Math.min(left + 12, room))}px`,
      top: `${Math.max(0, this.plot.offsetTop + y - this.tip.offsetHeight - 10)}px` });
  }

  leave() {
    this.mark?.remove();
    this.at = null;
    this.tip.hidden = true;
    this.drawn.groups?.forEach((group) => group.classList.remove("dim"));
  }
}

// ---- switches, tables, videos

for (const section of document.querySelectorAll("section")) {
  const own = [...section.querySelectorAll("figure[data-chart]")].map((figure) => new Chart(figure));
  for (const button of section.querySelectorAll("button[data-key]")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      const name = `${button.dataset.key}:${button.dataset.value}`;
      for (const chart of own) {
        if (on) chart.off.delete(name); else chart.off.add(name);
        if (chart.chart.kind === "map") {
          chart.figure.hidden = Object.entries(chart.chart.keys).some(([key, value]) => chart.off.has(`${key}:${value}`));
        } else chart.draw(true);
      }
    });
  }
  const metric = section.querySelector("select[data-metric]");
  const choose = () => own.forEach((chart) => { chart.figure.hidden = chart.chart.metric !== metric.value; });
  if (metric) { metric.addEventListener("change", choose); choose(); }
}

for (const table of document.querySelectorAll("table[data-sort]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const read = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const rows = [...table.tBodies[0].rows].sort((a, b) =>
      read(a).localeCompare(read(b), "en", { numeric: true }) * (down ? -1 : 1));
    table.tBodies[0].append(...rows);
  }));
}

const together = document.getElementById("together");
together?.addEventListener("click", () => {
  const videos = [...document.querySelectorAll("video")], playing = videos.some((video) => !video.paused);
  for (const video of videos) {
    if (playing) video.pause();
    else { video.currentTime = 0; video.play(); }
  }
});
