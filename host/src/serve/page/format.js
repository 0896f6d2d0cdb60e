// Numbers, times and bytes as people read them. Times are UTC.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

export const count = (value) => (value === null || value === undefined ? "–" : whole.format(value));
export const short = (value) => (Math.abs(value) < 10000 ? count(value) : compact.format(value));

// To three places that count.
export function measured(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return size >= 100 ? whole.format(value) : value.toFixed(size >= 10 ? 1 : 2);
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  const sign = value < 0 ? "−" : "";
  const size = Math.abs(value);
  if (size < 60) return `${sign}${size < 10 ? size.toFixed(1) : Math.round(size)} s`;
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = parts.findIndex(([, length]) => size >= length);
  const [unit, length] = parts[first];
  const [nextUnit, nextLength] = parts[first + 1];
  const rest = Math.floor((size % length) / nextLength);
  return `${sign}${Math.floor(size / length)} ${unit}${rest > 0 ? ` ${rest} ${nextUnit}` : ""}`;
}

// 2026-01-03 14:05:09
export function time(text) {
  return text ? text.replace("T", " ").replace(/(\.\d+)?(Z|\+00:00)$/, "") : "–";
}

// Of a window: without what is always nought.
export function start(text, isDaily) {
  const told = time(text);
  return isDaily ? told.slice(0, 10) : told.slice(0, 16);
}

// What a text would do to the one who reads it is shown, not done: control characters, and those that turn text around.
const HARMFUL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/gu;
export const shown = (text) => text.replace(HARMFUL, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);

// Bytes as a text if they are one, else in hexadecimal digits.
export function content(base64) {
  const raw = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
    const controls = (text.match(/[\u0000-\u0008\u000e-\u001f]/g) ?? []).length;
    if (controls * 8 <= text.length) return { isText: true, text: shown(text), line: shown(text.replace(/\s+/g, " ")) };
  } catch {
    // It is no text.
  }
  const pairs = [...raw].map((byte) => byte.toString(16).padStart(2, "0"));
  return { isText: false, text: dump(raw, pairs), line: pairs.slice(0, 48).join(" ") };
}

function dump(raw, pairs) {
  const lines = [];
  for (let at = 0; at < raw.length; at += 16) {
    const letters = [...raw.slice(at, at + 16)].map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·"));
    lines.push(`${at.toString(16).padStart(6, "0")}  ${pairs.slice(at, at + 16).join(" ").padEnd(47)}  ${letters.join("")}`);
  }
  return lines.join("\n");
}
