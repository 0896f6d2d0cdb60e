// A swap made from the page: the component is sent with the token, and what the job says to it is shown as it comes.

import { byId, digest, element, setText } from "./dom.js";
import { count, measured } from "./format.js";
import { outcome } from "./tables.js";

const stageSelect = byId("swap-stage");
const report = byId("swap-report");
let waiting = null;

export function showStages(plugins, canChange, changed) {
  const stages = plugins.map((of) => of.stage);
  if (stageSelect.dataset.stages !== stages.join("\n")) {
    const chosen = stageSelect.value || stages.at(-1);
    stageSelect.dataset.stages = stages.join("\n");
    stageSelect.replaceChildren(...stages.map((stage) => element("option", { value: stage }, stage)));
    if (stages.includes(chosen)) stageSelect.value = chosen;
  }
  byId("swap-note").hidden = canChange;
  setText("swap-note", canChange ? "" : "The job was started without a token, so nothing can be changed from here. Start it with one in the environment variable SPEED_LAYER_HTTP_TOKEN, or use host swap.");
  hasChanged = changed;
}

let hasChanged = () => {};

byId("swap").addEventListener("submit", (event) => {
  event.preventDefault();
  const mode = event.submitter?.value ?? "dry-run";
  send(mode).catch((error) => tell(element("p", { class: "bad" }, error.name === "AbortError" ? "Nobody waits for it any more." : `The job could not be reached: ${error.message}`)));
});
byId("swap-cancel").addEventListener("click", () => waiting?.abort());

async function send(mode) {
  const file = byId("swap-file").files[0];
  if (mode !== "back" && !file) {
    tell(element("p", { class: "bad" }, "Choose the new plugin's component first."));
    byId("swap-file").focus();
    return;
  }
  const query = await queryOf(mode, file);
  waiting = new AbortController();
  busy(true);
  tell(element("p", { class: "quiet" }, mode === "shadow" ? "Sending the component…" : "The job looks at it…"));
  try {
    const answer = await fetch(`/api/swap?${query}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${byId("swap-token").value}`, "Content-Type": "application/wasm" },
      body: mode === "back" ? null : file,
      signal: waiting.signal,
    });
    if (!answer.ok) {
      tell(element("p", { class: "bad" }, `${verdict(answer.status)}: ${(await answer.json()).error}`));
      return;
    }
    await hear(answer.body, mode);
  } finally {
    waiting = null;
    busy(false);
    hasChanged();
  }
}

async function queryOf(mode, file) {
  const query = new URLSearchParams({ stage: stageSelect.value, mode, windows: byId("swap-windows").value, batches: byId("swap-batches").value });
  if (file) query.set("name", file.name.replace(/\.wasm$/, ""));
  if (byId("swap-downgrade").checked) query.set("allow-downgrade", "true");
  const signature = byId("swap-signature").files[0];
  if (signature) {
    const raw = new Uint8Array(await signature.arrayBuffer());
    query.set("signature", [...raw].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
  }
  return query;
}

const verdict = (status) => ({ 401: "Not let in", 403: "Not let in", 409: "Not now", 413: "Too large", 422: "Refused, and nothing has changed" })[status] ?? `Not done (${status})`;

function busy(is) {
  for (const button of byId("swap").querySelectorAll("button[type=submit]")) button.disabled = is;
  byId("swap-cancel").hidden = !is;
}

function tell(...nodes) {
  report.replaceChildren(...nodes);
}

// Lines of JSON, each as it comes.
async function hear(stream, mode) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  const heard = {};
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines.filter((text) => text !== "")) Object.assign(heard, JSON.parse(line));
    tell(...told(heard, mode, false));
  }
  tell(...told(heard, mode, true));
}

function told({ plan, shadowing, done, error }, mode, isEnd) {
  const nodes = [];
  if (done) nodes.push(ending(done));
  if (error) nodes.push(element("p", { class: "bad" }, error));
  if (isEnd && mode === "dry-run" && plan) nodes.push(element("p", {}, element("span", { class: "pill good" }, "fits"), " Nothing was changed."));
  if (isEnd && mode !== "dry-run" && !done && !error) nodes.push(element("p", { class: "bad" }, "The job ended before it was done."));
  if (shadowing && !done) {
    nodes.push(
      element("p", {}, `Beside the stream: ${count(shadowing.batches)} of ${count(shadowing.batches_wanted)} batches, ${count(shadowing.records)} records.`),
      element("progress", { max: shadowing.batches_wanted, value: Math.min(shadowing.batches, shadowing.batches_wanted), "aria-label": "Batches compared" }),
    );
  }
  const found = done?.shadow;
  if (found) nodes.push(...comparisons(found));
  if (plan) nodes.push(...planned(plan));
  return nodes;
}

function ending(done) {
  const more = done.outcome === "swapped"
    ? ` with epoch ${count(done.epoch)}; the stream stood for ${measured(done.pause_ms)} ms.`
    : done.outcome === "shadowed" ? " Nothing was changed." : ` ${done.why ?? (done.by ? `by ${done.by}` : "")}`;
  return element("p", {}, outcome(done), more);
}

function planned(plan) {
  const nodes = [
    element("p", {}, element("strong", {}, plan.stage), ": ", plan.from.name, " ", digest(plan.from.digest), " → ", plan.to.name, " ", digest(plan.to.digest), ` (${plan.change})`),
  ];
  for (const of of plan.aggregates) {
    const changes = [...of.state.map((text) => `state: ${text}`), ...of.output.map((text) => `output: ${text}`)];
    nodes.push(
      element("p", {}, `Aggregate ${of.aggregate}, state version ${of.state_version[0]} to ${of.state_version[1]}:`),
      element("ul", {}, ...changes.map((text) => element("li", {}, text))),
    );
  }
  return nodes;
}

function comparisons(shadow) {
  const nodes = [element("p", {}, `${count(shadow.records)} records in ${count(shadow.batches)} batches; a record took ${count(shadow.old_ns_per_record)} ns of the old stages and ${count(shadow.new_ns_per_record)} ns of the new ones.`)];
  const add = (title, of) => {
    if (of && of.both + of.only_old + of.only_new > 0) nodes.push(...compared(title, of));
  };
  add("Rows offered to the aggregates", shadow.rows);
  add("Dead letters and late rows", shadow.set_aside);
  for (const of of shadow.windows) {
    add(`${of.aggregate}: windows that closed`, of.closed);
    add(`${of.aggregate}: open windows`, of.open);
    add(`${of.aggregate}: notes`, of.notes);
  }
  return nodes;
}

// Columns in which nothing differs are counted.
function compared(title, of) {
  const equal = of.columns.filter((column) => column.differing === 0);
  const rows = of.columns.filter((column) => column.differing > 0).map((column) => element("tr", { class: "bad" },
    element("th", { scope: "row" }, column.column), element("td", { class: "n" }, count(column.equal)), element("td", { class: "n" }, count(column.differing))));
  const names = (list, side) => (list.length > 0 ? [element("p", { class: "quiet" }, `Only ${side}: ${list.join(", ")}`)] : []);
  return [
    element("h3", {}, title),
    element("p", { class: "quiet" }, `${count(of.both)} rows of both, ${count(of.only_old)} only old, ${count(of.only_new)} only new`),
    element("p", {}, element("span", { class: `pill ${rows.length === 0 ? "good" : "bad"}` }, `equal in ${count(equal.length)} of ${count(of.columns.length)} columns`)),
    element("p", { class: "quiet" }, equal.map((column) => column.column).join(", ")),
    rows.length === 0 ? "" : element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, element("table", {},
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Column"), element("th", { scope: "col", class: "n" }, "Equal"), element("th", { scope: "col", class: "n" }, "Different"))),
      element("tbody", {}, ...rows))),
    ...names(of.only_old_columns, "old"),
    ...names(of.only_new_columns, "new"),
    ...(of.examples.length > 0 ? [element("details", {}, element("summary", {}, "Examples"), element("pre", { tabindex: "0" }, of.examples.map((one) => JSON.stringify(one)).join("\n")))] : []),
  ];
}
