// The film shaken: a finding's probability when tone, framing or file quality change and the patient does not.

import { answerTo } from "./decisions.js";
import { make } from "./dom.js";
import { findingOf, percent, sentence } from "./words.js";

/** The range of a finding's probability, and in how many of the changed films the answer stays. */
export function shakenInWords(about, report, films, name) {
  const answers = Object.values(films);
  const shares = answers.map((probabilities) => probabilities[name]);
  const range = `${percent(Math.min(...shares))} to ${percent(Math.max(...shares))}`;
  const { title } = findingOf(about, name);
  if (report.positive[name] === null && !report.limits) return `${title}: ${range}.`;
  const same = answers.filter((probabilities) => answerTo(report, probabilities, name) === report.positive[name]);
  const where = same.length === answers.length ? "all of them" : `${same.length} of ${answers.length}`;
  return `${title}: ${range}. The answer stays in ${where}.`;
}

export class Shaking {
  constructor(page) {
    this.page = page;
    page.part("shake").addEventListener("click", () => this.ask());
  }

  /** A result, or another finding of it. */
  show() {
    const { page } = this;
    if (this.token !== page.token) this.films = null;
    page.part("shaken").hidden = !this.films;
    page.part("shake").hidden = Boolean(this.films);
    page.part("shake-status").textContent = this.films
      ? shakenInWords(page.about, page.result.report, this.films, page.finding)
      : "";
    if (this.films) page.part("shaken").replaceChildren(...this.rows());
  }

  rows() {
    const { result, finding } = this.page;
    const threshold = result.report.thresholds[finding];
    return Object.entries(this.films).map(([change, probabilities]) => {
      const fill = make("span", { className: "fill", style: `width:${100 * probabilities[finding]}%` });
      const bar = make("span", { className: "bar", "aria-hidden": "true" }, fill);
      if (threshold !== null) bar.append(make("span", { className: "mark", style: `left:${100 * threshold}%` }));
      const row = make("li", {}, make("span", {}, change), bar, make("span", {}, percent(probabilities[finding])));
      row.dataset.positive = answerTo(result.report, probabilities, finding);
      return row;
    });
  }

  async ask() {
    const { page } = this;
    const { token, about } = page;
    page.part("shake").disabled = true;
    page.part("shake-status").textContent = "Reading the film in nine ways.";
    const answer = await page.call("shake", { token, model: about.name });
    page.part("shake").disabled = false;
    if (token !== page.token) return;
    if (answer.kind === "error") return void (page.part("shake-status").textContent = sentence(answer.message));
    Object.assign(this, { token, films: { "as it is": page.result.report.probabilities, ...answer.films } });
    this.show();
  }
}
