// How good a model is, in words; `scores`: one metrics.json.

import { count, diseases, wholePercent } from "./words.js";

/** {value: 0.951, low: 0.93, high: 0.97} -> "0.951 (0.930–0.970)". */
export function interval(estimate) {
  if (typeof estimate?.value !== "number") return "not known";
  const known = typeof estimate.low === "number" && typeof estimate.high === "number";
  return estimate.value.toFixed(3) + (known ? ` (${estimate.low.toFixed(3)}–${estimate.high.toFixed(3)})` : "");
}

/** A rate, alone or with its interval, in per cent. */
export function rate(estimate) {
  const value = estimate !== null && typeof estimate === "object" ? estimate.value : estimate;
  return typeof value === "number" ? wholePercent(value) : "–";
}

/** "1,234 films of 56 patients". */
export function films(scores) {
  return `${count(scores.n)} films` + (scores.n_patients ? ` of ${count(scores.n_patients)} patients` : "");
}

// Which films those were: only a source's own test list is official, and no score on another compares with it.
function origin({ dataset, split, split_origin: origin }, hub) {
  if (origin === "official") return `the official ${split} films of ${dataset}`;
  if (origin === "own") return `${dataset}, patients held out by ${hub ? "its makers" : "this project"}`;
  if (origin === "cross_validated") return `${dataset}, each patient scored by a head fitted on others`;
  return `${dataset}, ${split}`;
}

/** The scores on the model's test films, or on whatever it was scored on last. */
export const testScores = (about) =>
  about.evaluations.find((entry) => String(entry.split).includes("test")) || about.evaluations.at(-1);

/** How good the model is, in a sentence. */
export function headline(about) {
  const scores = testScores(about);
  if (!scores && about.members) {
    return "How good its members are together was not measured: only each member carries scores of its own.";
  }
  if (!scores) return "How good it is was not measured: the model carries no scores.";
  const findings = diseases(about);
  const single = findings.length === 1;
  const auroc = single ? scores.findings[findings[0].name]?.auroc : scores.macro?.auroc;
  const measure = single ? "AUROC for " + findings[0].title.toLowerCase() : "Mean AUROC over its findings";
  const test = `${films(scores)} it never saw in training (${origin(scores, about.hub)})`;
  const source = about.hub ? " These are its repository’s own numbers; nothing here measured it again." : "";
  return `${measure} ${interval(auroc)}, on ${test}.${source}`;
}

export const COLUMNS = [
  "Finding",
  "Films with\u00a0it",
  "AUROC (95 % interval)",
  "Sensitivity (found)",
  "Specificity (cleared)",
];

export const COLUMN_HELP =
  "AUROC: how often a film with the finding gets a higher probability than one without it; 0.5 is chance. " +
  "Sensitivity: share of films with the finding that are above the alarm threshold. " +
  "Specificity: share of films without it that are below.";

/** The rows of a score table: a title, then one text for each other column. */
export function scoreRows(about, scores) {
  const normal = about.binary ? about.findings.filter((entry) => entry.normal).map((entry) => entry.name) : [];
  const titles = Object.fromEntries(about.findings.map((entry) => [entry.name, entry.title]));
  return Object.entries(scores.findings)
    .filter(([name]) => !normal.includes(name))
    .map(([name, row]) => [
      titles[name] || name,
      count(row.n_pos),
      interval(row.auroc),
      rate(row.sensitivity),
      rate(row.specificity),
    ]);
}
