// The evaluation of a list whose films have labels.

import { make } from "./dom.js";
import { interval } from "./scores.js";
import { count, sentence, wholePercent } from "./words.js";

const COLUMNS = ["Finding", "With\u00a0it", "Without", "AUROC (95\u00a0% interval)", "Sensitivity", "Specificity"];

/** A rate with its interval, in per cent; its reason where it is undefined. */
function rateOf(row, name) {
  if (typeof row[name] !== "number") return "undefined";
  const ends = row.intervals?.[name];
  return wholePercent(row[name]) + (ends ? ` (${ends.map((end) => Math.round(100 * end)).join("–")})` : "");
}

/** Title, counts, AUROC and rates of every finding that has labels. */
export function rowsOf(about, metrics) {
  const titles = Object.fromEntries(about.findings.map(({ name, title }) => [name, title]));
  const normal = about.binary ? about.findings.filter((entry) => entry.normal).map(({ name }) => name) : [];
  return Object.entries(metrics.findings)
    .filter(([name, row]) => !normal.includes(name) && row.n_pos + row.n_neg > 0)
    .map(([name, row]) => {
      const area = typeof row.auroc.value === "number" ? interval(row.auroc) : "undefined";
      const numbers = [count(row.n_pos), count(row.n_neg), area];
      const cells = [...numbers, rateOf(row, "sensitivity"), rateOf(row, "specificity")];
      return { title: titles[name] || name, cells, why: whyOf(row) };
    });
}

/** Why one of the numbers shown is undefined: parts of the record's reasons, which name the number first. */
function whyOf({ auroc, why }) {
  const parts = (why || "").split("; ").filter((part) => /^(sensitivity|specificity):/.test(part));
  if (auroc.why) parts.unshift("AUROC: " + auroc.why);
  return parts.join("; ");
}

// Films that are labelled and not in the list are no news: a label file may be of a whole collection.
const telling = (note) => !note.includes("without a prediction");

/** The card: a table, what was joined and how, and buttons to save. `dashboard`: its address, if there is one. */
export function scoresCard(about, { metrics, notes }, buttons, dashboard) {
  const head = COLUMNS.map((title) => make("th", { scope: "col" }, title));
  const rows = rowsOf(about, metrics).map(({ title, cells, why }) => {
    const rest = cells.map((text) => make("td", {}, text));
    return make("tr", { title: why }, make("th", { scope: "row" }, title), ...rest);
  });
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
  const whys = [...new Set(rowsOf(about, metrics).map(({ why }) => why))].filter(Boolean);
  const remarks = [...whys.map((why) => sentence("Undefined, " + why)), ...notes.filter(telling)];
  const patients = metrics.n_patients === metrics.n ? "" : ` of ${count(metrics.n_patients)} patients`;
  const link = make("a", { href: dashboard || "#", target: "_blank", rel: "noopener" }, "dashboard");
  const how = " (“An uploaded table”) for curves and calibration.";
  const place = ["Open the table in the ", dashboard ? link : "dashboard", how];
  return [
    make("h2", { tabIndex: -1 }, `Scored on ${count(metrics.n)} labelled films${patients}`),
    make("p", { className: "muted small" }, origin(about)),
    make("div", { className: "scores" }, make("div", { className: "scroll" }, table)),
    make("ul", { className: "small notes" }, ...remarks.map((text) => make("li", {}, text))),
    make("div", { className: "actions" }, ...buttons),
    make("p", { className: "muted small" }, ...place),
  ];
}

function origin(about) {
  const classes = about.kind === "multiclass" && !about.binary;
  const rule = classes ? "decided by the likeliest class" : "at the model’s own thresholds";
  const known = "whether it learned from these patients is not known here";
  return `By ${about.name}, ${rule}; films that the gate refused count too; ${known}.`;
}
