// Another way to decide than by the model's own thresholds: the same probabilities, other answers, no new reading.

import { make } from "./dom.js";
import { findingOf } from "./words.js";

export const OWN = { key: "own" };

function own(about) {
  if (about.kind === "multiclass" && !about.binary) return "The likeliest class";
  return about.binary ? "Its own threshold" : "Its own thresholds";
}

/**
 * A finding's answer: true, false, or null where there is none or, of three answers, it is unsure. Of several classes
 * without thresholds the likeliest is true.
 */
export function answerTo({ thresholds, limits }, probabilities, name) {
  const share = probabilities[name];
  if (limits) {
    const { out, into } = limits;
    if (out[name] !== null && share < out[name]) return false;
    return into[name] !== null && share > into[name] ? true : null;
  }
  if (thresholds[name] !== null) return share >= thresholds[name];
  return Object.values(probabilities).every((other) => other <= share);
}

/** The report as another choice decides it; `sent`: as it came from the server. */
export function decided(sent, choice) {
  if (choice.key === OWN.key) return sent;
  const names = Object.keys(sent.thresholds);
  const thresholds = Object.fromEntries(names.map((name) => [name, choice.thresholds?.[name] ?? null]));
  const report = { ...sent, thresholds, decided_by: { rule: choice.key }, limits: choice.out ? choice : undefined };
  const answer = (name) =>
    report.limits || thresholds[name] !== null ? answerTo(report, sent.probabilities, name) : null;
  report.positive = Object.fromEntries(names.map((name) => [name, answer(name)]));
  return report;
}

/** What is promised of three answers for a finding, and from how many patients. */
export function promise(about, { limits }, name) {
  const { risk, confidence, patients, why, out, into } = limits;
  const { title } = findingOf(about, name);
  const [present, absent] = patients[name];
  const most = `at most ${100 * risk}\u00a0% have`;
  const wrong = [
    out[name] !== null && `of patients with it ${most} a film ruled out (from ${present} patients)`,
    into[name] !== null && `of those without it ${most} one ruled in (from ${absent})`,
  ].filter(Boolean);
  const holds = `That holds at a confidence of ${100 * confidence}\u00a0%, for patients like those.`;
  const kept = wrong.length ? `${title}: ${wrong.join(", and ")}. ${holds}` : `${title}: nothing is promised.`;
  return why[name] ? `${kept} It is ${why[name]}.` : kept;
}

export class Decisions {
  constructor(page, show) {
    this.page = page;
    this.chosen = OWN.key;
    page.part("decide").addEventListener("change", () => {
      this.chosen = page.part("decide").value;
      show();
    });
  }

  /** The choices of this model; the visitor's stays where this model has it too. */
  offer(about) {
    const choices = [OWN, ...about.decisions];
    if (!choices.some(({ key }) => key === this.chosen)) this.chosen = OWN.key;
    const titles = choices.map(({ key, title }) => make("option", { value: key }, title || own(about)));
    this.page.part("decide").replaceChildren(...titles);
    this.page.part("decide").value = this.chosen;
    this.page.part("decide-box").hidden = choices.length < 2;
  }

  /** The server's report as the chosen way decides it. */
  apply(about, sent) {
    return decided(sent, [OWN, ...about.decisions].find(({ key }) => key === this.chosen));
  }
}
