// The windows of one group as candles with their volume, or as a line where there are no four prices. Columns are found
// by their names; every value can be read exactly.

import { drawing, hearChart, say } from "./dom.js";
import { short } from "./format.js";

const PAD = { top: 10, right: 66, bottom: 22 };
const STEP = { least: 5, most: 26 };
const VOLUME_PART = 0.2;
const HOUR_MS = 3600000;
const ROUND_HOURS = [1, 2, 3, 6, 12, 24, 48, 96];

// Which columns mean what.
export function roles(columns, row) {
  const isNumber = (name) => typeof row[name] === "number" || row[name] === null;
  const numbers = columns.filter(isNumber);
  for (const open of numbers.filter((name) => /(^|_)open$/.test(name))) {
    const prefix = open.slice(0, -4);
    const [high, low, close] = ["high", "low", "close"].map((end) => prefix + end);
    if ([high, low, close].every((name) => numbers.includes(name))) {
      const volume = [`${prefix}volume`, "volume"].find((name) => numbers.includes(name)) ?? numbers.find((name) => name.endsWith("volume"));
      return { open, high, low, close, volume };
    }
  }
  return { line: numbers[0], volume: numbers.slice(1).find((name) => /(volume|count|trades)$/.test(name)) };
}

export class CandleChart {
  // `look` hears which window is looked at, or null.
  constructor(chart, look) {
    Object.assign(this, { chart, windows: [], looked: null });
    this.hear = look;
    hearChart(chart, () => this.drawn().length, (x) => this.indexAt(x), (index, byKey) => this.look(index, byKey));
    new ResizeObserver(() => this.draw()).observe(chart);
  }

  // Windows are `{ row, label, isOpen }`, oldest first; `roles` as found.
  show(windows, found) {
    this.windows = windows;
    this.found = found;
    if (this.looked !== null && !this.looked.stays) this.looked = null;
    this.draw();
  }

  // As many as there is room for, the newest.
  drawn() {
    const room = Math.floor((this.chart.clientWidth - PAD.right) / STEP.least);
    return this.windows.slice(-Math.max(1, Math.min(room, 120)));
  }

  step() {
    return Math.min(STEP.most, (this.chart.clientWidth - PAD.right) / Math.max(1, this.drawn().length));
  }

  x(index) {
    return this.chart.clientWidth - PAD.right - (this.drawn().length - index - 0.5) * this.step();
  }

  indexAt(x) {
    const index = Math.round((x - this.x(0)) / this.step());
    return this.drawn().length === 0 ? null : index;
  }

  look(index, byKey) {
    this.looked = index === null ? null : { start: this.drawn()[index]?.row.window_start, stays: true };
    this.hear(this.lookedAt(), (text) => byKey && say(text));
    this.draw();
  }

  // The window that is looked at, also after others have come.
  lookedAt() {
    return this.looked && this.windows.find((of) => of.row.window_start === this.looked.start);
  }

  draw() {
    const [width, height] = [this.chart.clientWidth, this.chart.clientHeight];
    if (width === 0) return;
    const svg = drawing("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const drawn = this.drawn();
    if (drawn.length > 0 && this.found) this.fill(svg, drawn, width, height);
    this.chart.replaceChildren(svg);
  }

  fill(svg, drawn, width, height) {
    const { open, high, low, close, line, volume } = this.found;
    const plotBottom = height - PAD.bottom;
    const volumeTop = plotBottom - (volume ? (plotBottom - PAD.top) * VOLUME_PART : 0);
    const bottom = volume ? volumeTop - 8 : plotBottom;
    const of = (names) => drawn.flatMap((window) => names.map((name) => window.row[name])).filter(Number.isFinite);
    const values = of(line ? [line] : [low, high, open, close]);
    if (values.length === 0) return;
    let [least, most] = [Math.min(...values), Math.max(...values)];
    const margin = (most - least || Math.abs(most) || 1) * 0.04;
    [least, most] = [least - margin, most + margin];
    const y = (value) => bottom - ((value - least) / (most - least)) * (bottom - PAD.top);
    const right = width - PAD.right;
    const last = drawn.at(-1).row[line ?? close];
    for (const tick of ticks(least, most, Math.max(2, Math.floor((bottom - PAD.top) / 48)))) {
      svg.append(
        drawing("line", { class: "grid", x1: 0, x2: right, y1: y(tick.value), y2: y(tick.value) }),
        // The newest price has its own mark there.
        Number.isFinite(last) && Math.abs(y(tick.value) - y(last)) < 16 ? "" : drawing("text", { class: "tick", x: right + 6, y: y(tick.value) + 4 }, tick.text),
      );
    }
    this.labels(svg, drawn, plotBottom, height);
    if (volume) this.bars(svg, drawn, volume, volumeTop, plotBottom, right);
    if (line) this.line(svg, drawn, line, y);
    else drawn.forEach((window, index) => this.candle(svg, window, this.x(index), y));
    const looked = this.lookedAt();
    const at = looked ? drawn.indexOf(looked) : -1;
    if (at >= 0) svg.append(drawing("line", { class: "cross", x1: this.x(at), x2: this.x(at), y1: 0, y2: plotBottom }));
    if (Number.isFinite(last)) this.price(svg, y(last), last, right, width);
  }

  candle(svg, window, x, y) {
    const [open, high, low, close] = ["open", "high", "low", "close"].map((name) => window.row[this.found[name]]);
    if (![open, high, low, close].every(Number.isFinite)) return;
    const half = Math.max(1, Math.min(8, this.step() * 0.34));
    const kind = `candle ${close >= open ? "up" : "down"}${window.isOpen ? " open" : ""}`;
    const [top, foot] = [y(Math.max(open, close)), y(Math.min(open, close))];
    svg.append(drawing("g", { class: kind },
      drawing("line", { x1: x, x2: x, y1: y(high), y2: top }),
      drawing("line", { x1: x, x2: x, y1: foot, y2: y(low) }),
      drawing("rect", { x: x - half, y: top, width: half * 2, height: Math.max(1, foot - top) }),
    ));
  }

  bars(svg, drawn, name, top, bottom, right) {
    const most = Math.max(...drawn.map((window) => window.row[name] ?? 0), 1e-9);
    const half = Math.max(1, Math.min(8, this.step() * 0.34));
    drawn.forEach((window, index) => {
      const height = ((window.row[name] ?? 0) / most) * (bottom - top);
      const { open, close } = this.found;
      const kind = close && window.row[close] < window.row[open] ? "down" : "up";
      svg.append(drawing("rect", { class: `bar ${kind}${window.isOpen ? " open" : ""}`, x: this.x(index) - half, y: bottom - height, width: half * 2, height: Math.max(0, height) }));
    });
    svg.append(
      drawing("line", { class: "axis", x1: 0, x2: right, y1: bottom, y2: bottom }),
      drawing("text", { class: "tick", x: right + 6, y: top + 8 }, short(most)),
    );
  }

  line(svg, drawn, name, y) {
    const points = drawn.map((window, index) => [this.x(index), window.row[name]]).filter(([, value]) => Number.isFinite(value));
    svg.append(drawing("path", { class: "line", d: `M${points.map(([x, value]) => `${x.toFixed(1)},${y(value).toFixed(1)}`).join("L")}` }));
  }

  // Times at round distances: of windows shorter than a day at round hours.
  labels(svg, drawn, bottom, height) {
    const every = Math.max(1, Math.ceil(76 / this.step()));
    const starts = drawn.map((window) => Date.parse(window.row.window_start));
    const length = Date.parse(drawn[0].row.window_end) - starts[0];
    const round = ROUND_HOURS.map((hours) => hours * HOUR_MS).find((size) => size >= every * length);
    drawn.forEach((window, index) => {
      const isRound = length < 24 * HOUR_MS && round ? starts[index] % round === 0 : (drawn.length - 1 - index) % every === 0;
      const x = this.x(index);
      if (!isRound || x < 24) return;
      svg.append(
        drawing("line", { class: "axis", x1: x, x2: x, y1: bottom, y2: bottom + 4 }),
        drawing("text", { class: "tick middle", x, y: height - 5 }, window.label),
      );
    });
  }

  // The newest price, marked at the edge.
  price(svg, y, value, right, width) {
    svg.append(
      drawing("line", { class: "now", x1: 0, x2: right, y1: y, y2: y }),
      drawing("rect", { class: "flag", x: right, y: y - 9, width: width - right, height: 18, rx: 3 }),
      drawing("text", { class: "flag-text", x: right + 6, y: y + 4 }, priceText(value)),
    );
  }
}

function priceText(value) {
  const size = Math.abs(value);
  if (size >= 1e7) return short(value);
  return value.toFixed(size >= 10000 ? 1 : size >= 10 ? 2 : size >= 0.01 ? 4 : 7);
}

// Round values between two others.
function ticks(least, most, wanted) {
  const rough = (most - least) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough);
  const places = Math.max(0, -Math.floor(Math.log10(step)));
  const found = [];
  for (let value = Math.ceil(least / step) * step; value <= most; value += step) {
    found.push({ value, text: Math.abs(value) >= 1e7 ? short(value) : value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places }) });
  }
  return found;
}
