// A list of films that a model read, as data: which are shown in which order, and what is saved of them.
// A row: {path, image, state: "waiting" | "read" | "failed"}, and what `cxr predict --json` prints of the film.

import { baseName } from "./collect.js";

export const GATES = [
  ["all", "All films"],
  ["accepted", "Accepted by the gate"],
  ["remarks", "Accepted, with remarks"],
  ["refused", "Refused by the gate"],
  ["failed", "Not readable"],
];

/** How tables call the films: by file name, by path where several share a name. */
export function imageNames(paths) {
  const times = new Map();
  for (const path of paths) times.set(baseName(path), (times.get(baseName(path)) || 0) + 1);
  return paths.map((path) => (times.get(baseName(path)) > 1 ? path : baseName(path)));
}

export const isRead = ({ state }) => state === "read";
export const isRefused = (row) => row.gate?.accepted === false;

/** "NOT_A_CHEST_XRAY" -> "not a chest film". */
const reason = (code) => code.toLowerCase().replaceAll("_", " ").replace("chest xray", "chest film");

/** What the gate, or the reader, says of a film, in a few words. */
export function verdictOf(row) {
  if (row.state === "failed") return "Not readable";
  if (row.state === "waiting") return "";
  const { accepted, reasons } = row.gate;
  const because = reasons.length ? ": " + reasons.map(reason).join(", ") : "";
  if (accepted === null) return reasons.length ? "No gate" + because : "No gate";
  return (accepted ? "Accepted" : "Refused") + because;
}

/** Whether a finding's number is shown: that of a refused film only when asked for. */
export const isShown = (row, overruled) => isRead(row) && (overruled || !isRefused(row));

const MOST_BRIEF = 3;

/**
 * What a card says of a film's findings: [name, above its threshold] of the one that the list is sorted by, and of the
 * likeliest above their thresholds; and how many more there are of these.
 */
export function briefOf(row, findings, sortedBy) {
  const chance = (name) => row.probabilities[name];
  const above = findings.filter((name) => row.positive[name]).sort((one, other) => chance(other) - chance(one));
  const first = findings.includes(sortedBy) ? [sortedBy] : [];
  const named = [...new Set([...first, ...above])].slice(0, MOST_BRIEF);
  const more = above.filter((name) => !named.includes(name)).length;
  return { named: named.map((name) => [name, above.includes(name)]), more };
}

/**
 * The rows that pass the filters, sorted; rows without a value come last, whichever way is sorted.
 * @param choice `finding` above its threshold, or "any", "none" or ""; `gate`, of GATES; `column`; `down`; `overruled`
 */
export function chosenRows(rows, choice) {
  const kept = rows.filter((row) => passesGate(row, choice.gate) && passesFinding(row, choice));
  const value = (row) => valueOf(row, choice.column, choice.overruled);
  const sign = choice.down ? -1 : 1;
  const compare = (a, b) => {
    const [one, other] = [value(a), value(b)];
    if (one === null || other === null) return (one === null) - (other === null);
    return sign * (typeof one === "string" ? one.localeCompare(other, "en", { numeric: true }) : one - other);
  };
  return choice.column ? kept.sort(compare) : kept;
}

function passesGate(row, gate) {
  if (gate === "all") return true;
  if (gate === "failed") return row.state === "failed";
  if (!isRead(row)) return false;
  if (gate === "refused") return isRefused(row);
  return row.gate.accepted !== false && (gate === "accepted" || row.gate.reasons.length > 0);
}

function passesFinding(row, { finding, findings, overruled }) {
  if (!finding) return true;
  if (!isShown(row, overruled)) return false;
  if (finding === "any") return findings.some((name) => row.positive[name]);
  if (finding === "none") return !findings.some((name) => row.positive[name]);
  return row.positive[finding] === true;
}

function valueOf(row, column, overruled) {
  if (column === "image") return row.image;
  if (column === "gate") return verdictOf(row) || null;
  if (column === "labelled") return row.labelled ? row.labelled.join(", ") : null;
  return isShown(row, overruled) ? row.probabilities[column] : null;
}

const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const flag = (value) => (value === null || value === undefined ? "" : String(Number(value)));

/** The predictions table as CSV, as `cxr predict --csv` writes it: every film that was read, refused ones too. */
export function csvOf(rows) {
  const read = [...new Map(rows.filter(isRead).map((row) => [row.image, row])).values()];
  if (!read.length) return "";
  const findings = Object.keys(read[0].probabilities);
  const header = ["image"];
  for (const meaning of ["prob", "logit", "positive"]) header.push(...findings.map((name) => `${meaning}:${name}`));
  const lines = read.map((row) => [
    row.image,
    ...findings.map((name) => String(row.probabilities[name])),
    ...findings.map((name) => String(row.logits[name])),
    ...findings.map((name) => flag(row.positive[name])),
    flag(row.gate.accepted),
    row.gate.reasons.join(";"),
    row.model,
  ]);
  const all = [[...header, "gate_accepted", "gate_reasons", "model"], ...lines];
  return all.map((line) => line.map(quoted).join(",") + "\n").join("");
}

/** Everything that is known of the films, for programs. */
export function jsonOf(rows, skipped, note) {
  const left = { state: undefined, entry: undefined, thumbnail: undefined };
  const films = rows.filter(isRead).map((row) => ({ ...row, ...left }));
  const failed = rows.filter(({ state }) => state === "failed").map(({ path, error }) => ({ path, error }));
  return { note, films, unreadable: failed, skipped };
}
