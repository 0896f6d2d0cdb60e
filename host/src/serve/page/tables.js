// What stands in the page's tables: aggregates, partitions, plugins, dead letters, swaps, windows.

import { byId, cell, digest, element, number, setRows, setText } from "./dom.js";
import { bytes, content, count, measured, time } from "./format.js";

const body = (id) => byId(id).tBodies[0];

export function showAggregates(aggregates) {
  setRows(body("aggregates-table"), aggregates, (of) => of.name, (of) => [
    element("th", { scope: "row" }, of.name),
    cell(time(of.watermark)),
    cell(time(of.closed_through)),
    number(count(of.open_windows)),
    number(count(of.open_groups)),
    number(bytes(of.state_bytes)),
  ], "The job has not committed yet.");
}

export function showPartitions(partitions) {
  setRows(body("partitions-table"), partitions, (of) => of.partition, (of) => [
    element("th", { scope: "row" }, String(of.partition)),
    number(count(of.next_offset)),
    number(count(of.end_offset)),
    number(count(of.lag)),
  ], "The job has not committed yet.");
}

export function showPlugins(plugins) {
  setRows(body("plugins-table"), plugins, (of) => of.stage, (of) => {
    const calls = Object.entries(of.calls);
    const failures = Object.entries(of.failures).filter(([, calls]) => calls > 0);
    const each = (text) => element("td", { class: "n" }, ...calls.map(([call, told]) => element("span", { class: "part" }, ...text(call, told))));
    return [
      element("th", { scope: "row" }, of.stage),
      cell(of.name),
      cell(digest(of.digest)),
      number(of.state_version === null ? "–" : String(of.state_version)),
      each((call, told) => [element("span", { class: "quiet" }, `${call} `), told.rows > 0 ? perRow(told.ns_per_row) : "–"]),
      each((_, told) => [count(told.rows)]),
      each((_, told) => [count(told.calls)]),
      failures.length === 0 ? number("0") : element("td", { class: "n bad" }, ...failures.map(([kind, calls]) => element("span", { class: "part" }, `${count(calls)} ${kind}`))),
      number(bytes(of.memory_bytes)),
    ];
  }, "The job has not begun yet.");
}

const perRow = (ns) => (ns >= 10000 ? `${measured(ns / 1000)} µs` : `${measured(ns)} ns`);

// `names` are those of plugins by their digests.
export function showLetters(told, names) {
  setText("letters-note", told.topic ? `They go to the topic ${told.topic}, and are read there.` : "The newest; a record is shown with its bytes, whatever is in it.");
  setRows(body("letters-table"), told.dead_letters, (of) => `${of.epoch} ${of.topic}/${of.partition}/${of.offset} ${of.stage} ${of.kind}`, (of) => [
    element("th", { scope: "row" }, element("span", { class: "part" }, `${of.topic}/${of.partition}/${of.offset}`), element("span", { class: "part quiet" }, time(of.timestamp))),
    cell(of.aggregate ? `${of.stage}:${of.aggregate}` : of.stage),
    element("td", { class: "reason" }, element("span", { class: "part" }, of.kind), element("span", { class: "part quiet" }, clipped(of.message, 400))),
    cell(...(of.plugin_digest ? [names.get(of.plugin_digest) ?? "", " ", digest(of.plugin_digest)] : ["–"])),
    number(count(of.epoch)),
    element("td", { class: "bytes" }, record(of)),
  ], told.topic ? "None of them are here." : "There are none.");
}

function record(letter) {
  const value = letter.value_base64 === null ? null : content(letter.value_base64);
  const line = value === null ? "no value" : value.line;
  const details = element("details", {}, element("summary", {}, element("code", {}, clipped(line, 120))));
  // What is inside is made when somebody looks.
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const key = letter.key_base64 === null ? null : content(letter.key_base64);
    details.append(...part("Key", key, letter.key_base64, letter.key_bytes), ...part("Value", value, letter.value_base64, letter.value_bytes));
  });
  return details;
}

function part(name, told, base64, length) {
  if (told === null) return [element("p", { class: "quiet" }, `${name}: none`)];
  const given = Math.floor((base64.length * 3) / 4) - (base64.match(/=*$/)[0].length);
  const cut = given < length ? `, the first ${count(given)} of them` : "";
  return [
    element("p", { class: "quiet" }, `${name}: ${count(length)} bytes${cut}, ${told.isText ? "text" : "in hexadecimal"}`),
    element("pre", { tabindex: "0" }, told.text),
  ];
}

const clipped = (text, most) => (text.length > most ? `${text.slice(0, most)}…` : text);

export function showSwaps(swaps) {
  const newest = swaps.slice(-50).reverse();
  setRows(body("swaps-table"), newest, (of) => `${of.at} ${of.stage} ${of.to.digest} ${of.outcome}`, (of) => [
    element("th", { scope: "row" }, element("span", { class: "part" }, time(of.at)), element("span", { class: "part quiet" }, `by ${of.asked_by}`)),
    cell(of.stage),
    cell(side("from", of.from), side("to", of.to)),
    element("td", { class: "reason" }, outcome(of), of.why ? element("span", { class: "part quiet" }, clipped(of.why, 300)) : null),
    number(of.epoch ? count(of.epoch) : "–"),
    number(of.pause_ms ? `${measured(of.pause_ms)} ms` : "–"),
  ], "No swap was tried yet.");
}

const side = (name, of) => element("span", { class: "part" }, element("span", { class: "quiet" }, `${name} `), of.name, " ", digest(of.digest));

const GOOD = ["swapped", "shadowed"];

export function outcome(of) {
  let text = (of.outcome ?? "").replaceAll("_", " ");
  let good = GOOD.includes(of.outcome);
  if (of.outcome === "shadowed") {
    text += of.shadow.equal ? ", equal" : ", different";
    good = of.shadow.equal;
  }
  return element("span", { class: `pill ${good ? "good" : "bad"}` }, text);
}

// The windows, newest first, each value as it was told.
export function showWindows(columns, windows) {
  const table = byId("windows-table");
  const names = [...columns, "window_state"];
  const mark = names.join("\n");
  if (table.dataset.columns !== mark) {
    table.dataset.columns = mark;
    table.tHead.replaceChildren(element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name))));
    table.tBodies[0].replaceChildren();
  }
  setRows(table.tBodies[0], windows.map((of) => of.row).reverse(), (row) => row.window_start, (row) => names.map((name) => {
    const value = row[name];
    const text = name === "window_state" && row.uncommitted ? "open, uncommitted" : value === null ? "null" : /^window_(start|end)$/.test(name) ? time(value) : String(value);
    return element("td", { class: typeof value === "number" ? "n" : null }, text);
  }), "There are no windows yet.");
}
