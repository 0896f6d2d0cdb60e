// Small hands for the page: elements, rows that keep their place, and charts that hear keys and pointers.
// Text is only ever set as text: what stands in a topic has no say over the page.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

// An element with attributes; children are elements or texts.
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function drawing(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function setText(id, text) {
  const node = typeof id === "string" ? byId(id) : id;
  if (node.textContent !== String(text)) node.textContent = text;
}

// Makes a table's body show `items`. A row whose item has not changed stays as it is, with what is open or chosen in it.
export function setRows(body, items, keyOf, cellsOf, empty) {
  const present = new Map([...body.children].map((row) => [row.dataset.key, row]));
  const rows = items.map((item) => {
    const key = keyOf(item);
    const mark = JSON.stringify(item);
    const known = present.get(key);
    if (known && known.mark === mark) return known;
    const row = element("tr", {}, ...cellsOf(item));
    row.dataset.key = key;
    row.mark = mark;
    return row;
  });
  if (rows.length === 0) {
    const columns = body.parentElement.tHead.querySelectorAll("th").length || 1;
    if (body.dataset.empty === empty && body.children.length === 1) return;
    body.dataset.empty = empty;
    body.replaceChildren(element("tr", {}, element("td", { colspan: columns, class: "quiet none" }, empty)));
    return;
  }
  delete body.dataset.empty;
  if (rows.length !== body.children.length || rows.some((row, index) => body.children[index] !== row)) {
    body.replaceChildren(...rows);
  }
}

export const cell = (...children) => element("td", {}, ...children);
export const number = (...children) => element("td", { class: "n" }, ...children);

// A digest, short, with the whole of it to look at and to copy.
export function digest(hex) {
  if (!hex) return element("span", { class: "quiet" }, "–");
  const whole = `sha256:${hex}`;
  const button = element("button", { type: "button", class: "copy", title: `${whole}\nClick to copy`, "aria-label": `Copy ${whole}` }, hex.slice(0, 12));
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(hex);
      say("The digest is copied.");
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 900);
    } catch {
      say(whole);
    }
  });
  return button;
}

// Tells those who listen to the page.
export function say(text) {
  setText("said", text);
}

// Has a chart tell which of its `count()` points is looked at, by pointer or keys; null when none is.
export function hearChart(chart, count, indexAt, look) {
  let at = null;
  const go = (index, byKey) => {
    at = index === null ? null : Math.max(0, Math.min(count() - 1, index));
    look(count() === 0 ? null : at, byKey);
  };
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    go(indexAt(event.clientX - box.left), false);
  });
  chart.addEventListener("pointerleave", () => go(null, false));
  chart.addEventListener("blur", () => go(null, false));
  chart.addEventListener("keydown", (event) => {
    const last = count() - 1;
    const from = at ?? last + 1;
    const to = { ArrowLeft: from - 1, ArrowRight: at === null ? last : from + 1, Home: 0, End: last, Escape: null }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to, true);
  });
}
