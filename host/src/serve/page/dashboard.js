// The dashboard: asks the job once a second while somebody looks, and shows what it says. Windows and dead letters are
// asked for only when there can be others than those shown.

import { CandleChart, roles } from "./candles.js";
import { byId, element, setText } from "./dom.js";
import { bytes, count, measured, seconds, short, start, time } from "./format.js";
import { History } from "./history.js";
import { LineChart } from "./lines.js";
import { showStages } from "./swap.js";
import { showAggregates, showLetters, showPartitions, showPlugins, showSwaps, showWindows } from "./tables.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 20000;
const WINDOWS = 120;
const DAY_MS = 86400000;
// Groups come and go slowly, and so do swaps that somebody else makes.
const SLOW_MS = 15000;

const history = new History();
const charts = {
  rate: new LineChart(byId("rate-chart"), byId("rate-readout"), short),
  lag: new LineChart(byId("lag-chart"), byId("lag-readout"), short),
  delay: new LineChart(byId("delay-chart"), byId("delay-readout"), seconds),
};
const candles = new CandleChart(byId("candles"), (looked, tell) => {
  showReadout(looked);
  tell(byId("readout").textContent);
});
// What is shown, and what it was made from.
const shown = { aggregate: null, group: null, windows: [], marks: {}, letters: null, plugins: [], swaps: [], heardAt: null };

async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS) });
  const told = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(told.error), { isTold: true, status: answer.status });
  return told;
}

// Whether `mark` is another than at the last time, or that is long ago.
function isNew(name, mark, afterMs = Infinity) {
  const known = shown.marks[name];
  const now = performance.now();
  if (known && known.mark === mark && now - known.at < afterMs) return false;
  shown.marks[name] = { mark, at: now };
  return true;
}

const forget = (...names) => names.forEach((name) => delete shown.marks[name]);

async function poll() {
  const [status, plugins] = await Promise.all([get("/api/status"), get("/api/plugins")]);
  if (isNew("process", status.began)) {
    history.clear();
    forget("groups", "windows", "letters", "swaps");
  }
  shown.heardAt = Date.now();
  showStatus(status);
  if (status.epoch !== null && status.epoch > history.epoch) {
    history.add(await get(`/api/commits?after=${history.epoch}`));
    showHistory();
  }
  shown.plugins = plugins;
  showPlugins(plugins);
  showStages(plugins, status.swap_over_http, () => {
    forget("swaps");
    wake();
  });
  if (isNew("swaps", plugins.map((of) => of.digest).join(), SLOW_MS)) {
    shown.swaps = await get("/api/swaps");
    showSwaps(shown.swaps);
  }
  await pollWindows(status);
  await pollLetters(status);
}

async function pollWindows(status) {
  showChoosers(status.aggregates.map((of) => of.name));
  if (shown.aggregate === null) return;
  const of = `/api/aggregates/${shown.aggregate}`;
  const read = `${shown.aggregate} ${status.records_read}`;
  try {
    if (shown.group === null) await pollGroups(of, read);
    if (shown.group !== null && isNew("windows", `${read} ${status.epoch} ${shown.group}`)) {
      const wanted = [shown.aggregate, shown.group];
      const told = await get(`${of}/windows?limit=${WINDOWS}&key=${encodeURIComponent(shown.group)}`);
      // Somebody may have chosen another one meanwhile.
      if (wanted[0] === shown.aggregate && wanted[1] === shown.group) takeWindows(told);
    }
    setText("windows-note", "");
    if (shown.group !== null) await pollGroups(of, shown.aggregate);
  } catch (error) {
    if (!error.isTold) throw error;
    // Another aggregate may have another key.
    if (error.status === 400) shown.group = null;
    forget("groups", "windows");
    setText("windows-note", `· ${error.message}`);
  }
}

async function pollGroups(of, mark) {
  if (!isNew("groups", mark, SLOW_MS)) return;
  const told = await get(`${of}/groups`);
  if (told.aggregate === shown.aggregate) showGroups(told);
}

async function pollLetters(status) {
  const mark = `${status.rows_dead_lettered} ${status.began}`;
  if (!isNew("letters", status.epoch === null ? "none" : mark) || status.epoch === null) return;
  try {
    const names = new Map(shown.plugins.map((of) => [of.digest, of.name]));
    for (const of of shown.swaps) names.set(of.from.digest, of.from.name);
    showLetters(await get("/api/dead-letters?limit=20"), names);
  } catch (error) {
    if (!error.isTold) throw error;
    forget("letters");
    setText("letters-note", error.message);
  }
}

function showStatus(status) {
  document.title = `${status.job} · Speed Layer`;
  setText("job", status.job);
  setText("topic", status.topic);
  setText("state", status.state);
  byId("state").dataset.state = status.state;
  setText("epoch", count(status.epoch));
  setText("version", status.version);
  const now = Date.parse(status.now);
  const wait = status.next_trigger ? (Date.parse(status.next_trigger) - now) / 1000 : null;
  setText("trigger", wait === null ? "–" : wait > 0 ? `in ${seconds(wait)}` : "due");
  setText("uptime", seconds((now - Date.parse(status.began)) / 1000));
  setText("rate", status.records_per_s === null ? "–" : count(status.records_per_s));
  setText("rate-more", `${short(status.records_read)} read, ${bytes(status.read_bytes)}`);
  setText("lag", count(status.lag));
  setText("lag-more", status.partitions.length === 1 ? "records in 1 partition" : `records in ${status.partitions.length} partitions`);
  setText("delay", seconds(status.watermark_delay_s));
  setText("delay-more", status.watermark ? `at ${time(status.watermark)}` : "there is none yet");
  const sum = (name) => status.aggregates.reduce((total, of) => total + of[name], 0);
  setText("open", count(sum("open_windows")));
  setText("open-more", `${count(sum("open_groups"))} groups, ${bytes(sum("state_bytes"))}`);
  setText("dead", count(status.rows_dead_lettered));
  setText("dead-more", `${count(status.rows_late)} rows came late`);
  const last = status.last_commit;
  const took = last ? Object.values(last.took_ms).reduce((total, ms) => total + ms, 0) : null;
  setText("commit", took === null ? "–" : `${measured(took)} ms`);
  setText("commit-more", last ? `${short(last.records)} records, ${count(last.files)} files` : "there is none yet");
  showAggregates(status.aggregates);
  showPartitions(status.partitions);
}

function showHistory() {
  charts.rate.show(history.rates());
  charts.lag.show(history.lags());
  charts.delay.show(history.delays());
}

function showChoosers(names) {
  const box = byId("aggregates");
  if (box.dataset.names === names.join("\n")) return;
  box.dataset.names = names.join("\n");
  if (!names.includes(shown.aggregate)) choose(names[0] ?? null);
  const radios = names.map((name) => {
    const radio = element("input", { type: "radio", name: "aggregate", value: name, checked: name === shown.aggregate });
    radio.addEventListener("change", () => {
      choose(name);
      wake();
    });
    return element("label", {}, radio, element("span", {}, name));
  });
  box.replaceChildren(box.querySelector("legend"), ...radios);
}

function choose(aggregate) {
  shown.aggregate = aggregate;
  // The same group is shown of another aggregate, if it has one.
  forget("groups", "windows");
  byId("candles").classList.add("stale");
}

const nameOf = (group) => Object.values(group).map((value) => (value === null ? "(null)" : String(value))).join(" · ") || "(all)";

function showGroups({ key, groups }) {
  const texts = groups.map((group) => JSON.stringify(Object.fromEntries(key.map((name) => [name, group[name]]))));
  const select = byId("group");
  const sorted = texts.map((text) => [nameOf(JSON.parse(text)), text]).sort((one, other) => one[0].localeCompare(other[0], "en", { numeric: true }));
  if (!texts.includes(shown.group)) shown.group = sorted[0]?.[1] ?? null;
  const mark = sorted.map(([, text]) => text).join("\n");
  if (select.dataset.groups !== mark) {
    select.dataset.groups = mark;
    select.replaceChildren(...sorted.map(([name, text]) => element("option", { value: text }, name)));
  }
  if (shown.group !== null) select.value = shown.group;
}

function takeWindows({ key, windows }) {
  const rows = windows.reverse();
  const columns = Object.keys(rows.at(-1) ?? {}).filter((name) => !key.includes(name) && name !== "window_state" && name !== "uncommitted");
  const values = columns.filter((name) => !/^window_(start|end)$/.test(name));
  const isDaily = rows.every((row) => Date.parse(row.window_end) - Date.parse(row.window_start) >= DAY_MS);
  shown.windows = rows.map((row) => ({ row, label: label(row.window_start, isDaily), title: start(row.window_start, isDaily), isOpen: row.window_state === "open" }));
  const latest = [...rows].reverse().find((row) => values.some((name) => typeof row[name] === "number"));
  shown.roles = latest ? roles(values, latest) : null;
  shown.values = values;
  byId("candles").setAttribute("aria-label", `Windows of ${shown.group ? nameOf(JSON.parse(shown.group)) : "all"}, ${shown.aggregate}: ${rows.length}`);
  byId("candles").classList.remove("stale");
  candles.show(shown.windows, shown.roles);
  showReadout(candles.lookedAt());
  showWindows(columns, shown.windows);
}

// The month and day, or the time, and the day where one begins.
function label(text, isDaily) {
  const date = text.slice(5, 10);
  return isDaily || text.slice(11, 16) === "00:00" ? date : text.slice(11, 16);
}

function showReadout(looked) {
  const window = looked ?? shown.windows.at(-1);
  const readout = byId("readout");
  if (!window) {
    readout.replaceChildren("\u00a0");
    return;
  }
  const { open, high, low, close, line, volume } = shown.roles ?? {};
  const named = [["Open", open], ["High", high], ["Low", low], ["Close", close], [line, line], [close ? "Volume" : volume, volume]];
  const state = window.row.uncommitted ? "open, uncommitted" : window.row.window_state;
  readout.replaceChildren(
    element("strong", {}, window.title), " ",
    element("span", { class: `pill ${window.isOpen ? "" : "closed"}` }, state), " ",
    ...named.filter(([, name]) => name).flatMap(([title, name]) => [element("span", {}, element("span", { class: "quiet" }, `${title} `), window.row[name] === null ? "null" : String(window.row[name])), " "]),
  );
}

function showAway() {
  const away = byId("away");
  away.hidden = false;
  const since = shown.heardAt ? new Date(shown.heardAt).toISOString().slice(0, 19).replace("T", " ") : null;
  setText(away, since ? `The job is not reachable since ${since}. What is shown is of then; the page goes on when the job is back.` : "The job is not reachable yet; the page goes on when it is.");
  setText("state", "not reachable");
  byId("state").dataset.state = "away";
}

let timer = null;
let isPolling = false;
let isAsked = false;

// Asks now, or again as soon as the poll under way has ended.
function wake() {
  isAsked = true;
  if (!isPolling) turn();
}

async function turn() {
  clearTimeout(timer);
  if (document.hidden) return;
  isPolling = true;
  isAsked = false;
  try {
    await poll();
    byId("away").hidden = true;
  } catch (error) {
    if (error.isTold) setText("windows-note", `· ${error.message}`);
    else showAway();
  }
  isPolling = false;
  timer = setTimeout(turn, isAsked ? 0 : EVERY_MS);
}

byId("choosers").addEventListener("submit", (event) => event.preventDefault());
byId("group").addEventListener("change", (event) => {
  shown.group = event.target.value;
  byId("candles").classList.add("stale");
  forget("windows");
  wake();
});
document.addEventListener("visibilitychange", () => document.hidden || wake());
turn();
