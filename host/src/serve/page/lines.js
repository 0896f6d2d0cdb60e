// A value over time as a line with its area, and what it was at each point.

import { drawing, hearChart, say, setText } from "./dom.js";

const HEIGHT = 112;
const PAD = { top: 6, right: 52, bottom: 14, left: 1 };

export class LineChart {
  // `label` gives a value's text.
  constructor(chart, readout, label) {
    // At the axis there is room for the first part of it.
    const tick = (value) => label(value).split(" ").slice(0, 2).join(" ");
    Object.assign(this, { chart, readout, label, tick, points: [], looked: null });
    hearChart(chart, () => this.points.length, (x) => this.indexAt(x), (index, byKey) => this.look(index, byKey));
    new ResizeObserver(() => this.draw()).observe(chart);
  }

  // Points are `{ at, value }`, milliseconds and a number or null, oldest first.
  show(points) {
    this.points = points.filter((point) => point.value !== null);
    this.draw();
  }

  look(index, byKey) {
    this.looked = index;
    const point = this.points[index];
    setText(this.readout, point ? `${this.label(point.value)} at ${new Date(point.at).toISOString().slice(11, 19)}` : "");
    if (byKey && point) say(this.readout.textContent);
    this.draw();
  }

  indexAt(x) {
    let best = null;
    this.points.forEach((point, index) => {
      if (best === null || Math.abs(this.x(point) - x) < Math.abs(this.x(this.points[best]) - x)) best = index;
    });
    return best;
  }

  x(point) {
    const [first, last] = [this.points[0].at, this.points.at(-1).at];
    const width = this.chart.clientWidth - PAD.left - PAD.right;
    return PAD.left + (last > first ? ((point.at - first) / (last - first)) * width : width);
  }

  draw() {
    const width = this.chart.clientWidth;
    if (width === 0) return;
    const svg = drawing("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" });
    if (this.points.length > 0) this.fill(svg, width);
    this.chart.replaceChildren(svg);
  }

  fill(svg, width) {
    const values = this.points.map((point) => point.value);
    const low = Math.min(0, ...values);
    const high = Math.max(...values, low + 1);
    const bottom = HEIGHT - PAD.bottom;
    const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - PAD.top);
    const right = width - PAD.right;
    svg.append(
      drawing("line", { class: "grid", x1: 0, x2: right, y1: PAD.top, y2: PAD.top }),
      drawing("line", { class: "axis", x1: 0, x2: right, y1: bottom, y2: bottom }),
      drawing("text", { class: "tick", x: right + 5, y: PAD.top + 4 }, this.tick(high)),
      drawing("text", { class: "tick", x: right + 5, y: bottom + 3 }, this.tick(low)),
    );
    const path = this.points.map((point) => `${this.x(point).toFixed(1)},${y(point.value).toFixed(1)}`).join("L");
    const [from, to] = [this.x(this.points[0]), this.x(this.points.at(-1))];
    svg.append(
      drawing("path", { class: "area", d: `M${from},${y(Math.max(low, 0))}L${path}L${to},${y(Math.max(low, 0))}Z` }),
      drawing("path", { class: "line", d: `M${path}` }),
    );
    const clock = (at) => new Date(at).toISOString().slice(11, 19);
    svg.append(drawing("text", { class: "tick", x: 0, y: HEIGHT - 2 }, clock(this.points[0].at)));
    if (width > 200) svg.append(drawing("text", { class: "tick end", x: right, y: HEIGHT - 2 }, clock(this.points.at(-1).at)));
    const point = this.points[this.looked] ?? this.points.at(-1);
    if (this.looked !== null) svg.append(drawing("line", { class: "cross", x1: this.x(point), x2: this.x(point), y1: 0, y2: bottom }));
    svg.append(drawing("circle", { class: "dot", cx: this.x(point), cy: y(point.value), r: 3 }));
  }
}
