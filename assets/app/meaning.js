// What a finding's answer means: this model's rates on films it never saw, and what an alarm is worth where one works.

import { OWN, promise } from "./decisions.js";
import { make } from "./dom.js";
import { films, testScores } from "./scores.js";
import { count, findingOf, percent, wholePercent } from "./words.js";

export const PREVALENCES = [
  ["screening", "Screening", 0.01],
  ["emergency", "Emergency department", 0.1],
];

/** Bayes' rule: how often an alarm, and no alarm, is right where a share of films has the finding. */
export function predictiveValues(sensitivity, specificity, prevalence) {
  const alarms = [sensitivity * prevalence, (1 - specificity) * (1 - prevalence)];
  const silences = [specificity * (1 - prevalence), (1 - sensitivity) * prevalence];
  const share = ([right, wrong]) => (right + wrong > 0 ? right / (right + wrong) : null);
  return { ppv: share(alarms), npv: share(silences) };
}

/** The rates of a finding on the model's test films, by a way to decide; null where they were not measured. */
export function rates(about, name, rule = OWN.key) {
  const scores = testScores(about);
  const own = scores?.findings[name];
  const row = rule === OWN.key ? own : { prevalence: own?.prevalence, ...choiceOf(about, rule).rates?.[name] };
  if (typeof row?.sensitivity !== "number" || typeof row?.specificity !== "number") return null;
  return { ...row, on: `${films(scores)} that it never saw` };
}

const choiceOf = (about, rule) => about.decisions.find(({ key }) => key === rule) || {};

const withEnds = (value, ends) =>
  wholePercent(value) + (ends ? ` (${ends.map((end) => (100 * end).toFixed(0)).join("–")})` : "");

/** The rates in a sentence; a second one where the film is below the threshold: not shown is not excluded. */
export function ratesInWords(about, name, positive, ruleKey = OWN.key) {
  const row = rates(about, name, ruleKey);
  if (!row) return "";
  const { title } = findingOf(about, name);
  const rule = about.kind === "multilabel" || about.binary ? "above its threshold" : "the most likely";
  const ends = row.intervals || {};
  const measured =
    `On ${row.on}, ${title} was ${rule} in ${withEnds(row.sensitivity, ends.sensitivity)} of the films with it ` +
    `(sensitivity), and was not in ${withEnds(row.specificity, ends.specificity)} of those without it (specificity).`;
  if (positive !== false) return measured;
  const missed = wholePercent(1 - row.sensitivity);
  return `${measured} Not shown is not excluded: ${missed} of the films with it were not shown either.`;
}

/** How often validation films with a probability like this one had the finding; empty where that is not known. */
export function frequencyInWords(about, name, share) {
  const bins = about.frequencies[name] || [];
  const bin = bins.find((one, at) => share >= one.from && (share < one.to || at === bins.length - 1));
  if (!bin) return "";
  const [low, high] = [bin.from, bin.to].map((end) => (100 * end).toFixed(0));
  const films = bin.n === 1 ? "1 validation film" : `${count(bin.n)} validation films`;
  const ends = bin.low === null || bin.high === null ? null : [bin.low, bin.high];
  return `Of ${films} with a probability from ${low} to ${high}\u00a0%, ${withEnds(bin.frequency, ends)} had it.`;
}

/** What an alarm, or none, is worth at a prevalence in (0, 1). */
export function worthInWords(row, prevalence, positive) {
  const { ppv, npv } = predictiveValues(row.sensitivity, row.specificity, prevalence);
  const [value, term] = positive ? [ppv, "positive predictive value"] : [npv, "negative predictive value"];
  if (value === null) return "What this answer is worth there cannot be said.";
  return `There, this answer would be right in ${percent(value)} of cases (${term}).`;
}

export class Meaning {
  constructor(page) {
    this.page = page;
    this.chosen = "own";
    page.part("setting").addEventListener("change", () => this.choose(page.part("setting").value));
    page.part("prevalence").addEventListener("input", () => {
      this.chosen = page.part("setting").value = "other";
      this.tell();
    });
  }

  get answer() {
    return this.page.result.report.positive[this.page.finding];
  }

  show() {
    const { page } = this;
    const { report } = page.result;
    const rule = report.decided_by?.rule || OWN.key;
    this.row = report.limits ? null : rates(page.about, page.finding, rule);
    const { normal } = findingOf(page.about, page.finding);
    page.part("meaning").hidden = normal || !(report.limits || (this.row && this.answer !== null));
    page.part("share").hidden = !this.row;
    page.worth = null;
    if (page.part("meaning").hidden) return;
    const words = report.limits
      ? promise(page.about, report, page.finding)
      : ratesInWords(page.about, page.finding, this.answer, rule);
    const often = frequencyInWords(page.about, page.finding, report.probabilities[page.finding]);
    page.part("rates").textContent = [words, often].filter(Boolean).join(" ");
    if (!this.row) return;
    const settings = [["own", "As in its test films", this.row.prevalence], ...PREVALENCES, ["other", "Another share"]];
    page.part("setting").replaceChildren(...settings.map(([value, title]) => make("option", { value }, title)));
    this.choose(this.chosen);
  }

  choose(setting) {
    const { page } = this;
    this.chosen = page.part("setting").value = setting;
    const shares = Object.fromEntries(PREVALENCES.map(([value, , share]) => [value, share]));
    const share = { own: this.row.prevalence, ...shares }[setting];
    if (share !== undefined) page.part("prevalence").value = Number((100 * share).toPrecision(2));
    this.tell();
  }

  tell() {
    const { page } = this;
    const share = Number(page.part("prevalence").value) / 100;
    const possible = share > 0 && share < 1;
    page.part("prevalence").setAttribute("aria-invalid", String(!possible));
    const { sensitivity, specificity } = this.row;
    const values = possible && predictiveValues(sensitivity, specificity, share);
    page.worth = possible ? { finding: page.finding, prevalence: share, ...values } : null; // for the numbers saved
    page.part("worth").textContent = possible
      ? worthInWords(this.row, share, this.answer)
      : "Give a share between 0 and 100 %.";
  }
}
