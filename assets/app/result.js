// The result of a film: a bar for every finding, and the map of the chosen one.

import { Decisions } from "./decisions.js";
import { make } from "./dom.js";
import { Erasing } from "./erase.js";
import { Gate } from "./gate.js";
import { Meaning } from "./meaning.js";
import { Shaking } from "./shaking.js";
import * as words from "./words.js";

/** The findings that the list folds away: of many, those below their threshold, or ruled out. */
export function foldedOf(about, { positive }) {
  const below = about.findings.filter(({ name }) => positive[name] === false);
  return about.kind === "multilabel" && words.isLong(about) && below.length > 1 ? below.map(({ name }) => name) : [];
}

/** The button that shows the folded findings. */
export function foldTitle(count, limits) {
  return `${count} findings ${limits ? "ruled out" : "below their thresholds"}`;
}

export class Result {
  constructor(page, heatmap, models) {
    Object.assign(this, { page, heatmap, models });
    this.gate = new Gate(page, () => this.show(page.result));
    this.decisions = new Decisions(page, () => this.decide());
    this.meaning = new Meaning(page);
    this.shaking = new Shaking(page);
    this.erasing = new Erasing(page);
    page.part("fold").addEventListener("click", () => this.fold(page.part("fold").ariaExpanded === "true"));
  }

  /** Fetch the picture of the film, then show the result. */
  async receive(answer) {
    const { page } = this;
    const picture = await page.server.picture(answer.token);
    if (!picture) return page.fail("The film was no longer there when the page asked for it. Please open it again.");
    for (const name of ["plain", "image"]) page.part(name).src = picture;
    await page.part("image").decode();
    if (page.correcting) page.film = { ...page.film, corrected: page.correcting };
    page.correcting = "";
    this.sent = answer.report;
    this.decisions.offer(answer.about);
    this.show({ ...answer, report: this.decided(answer.about) });
  }

  /** Answer the same film another way; nothing is read again. */
  decide() {
    const { page } = this;
    page.result = { ...page.result, report: this.decided(page.about) };
    this.showAnswers();
    this.choose(page.finding);
  }

  decided(about) {
    return words.toldAgain(about, this.decisions.apply(about, this.sent));
  }

  show(result) {
    const { page } = this;
    const { report, about, token } = result;
    Object.assign(page, { result, token, about, maps: { gradcam: result.maps }, method: "gradcam" });
    page.part("error").hidden = true;
    page.part("stage").style.setProperty("--ratio", report.film.width / report.film.height);
    page.notice("synthetic-film", page.film.synthetic && words.drawnFilm(about, page.chosenBefore));
    page.notice("synthetic-model", about.synthetic && !page.film.synthetic && page.start.synthetic);
    page.notice("warning", about.caution, "This model’s own warning:");
    page.part("method").value = "gradcam";
    this.showFacts();
    this.models.show(about);
    page.enter("result");
    const order = this.showAnswers();
    this.choose(this.firstChoice(order.filter((entry) => !entry.normal)));
    page.part("summary").focus({ preventScroll: true });
  }

  /** The summary and a row for every finding, in their order, which is returned. */
  showAnswers() {
    const { page } = this;
    const { about, report } = page.result;
    page.part("summary").textContent = words.summary(about, report);
    page.part("how-to-read").textContent = words.howToRead(about, report);
    const order = words.byAlarm(about, report);
    const folded = foldedOf(about, report);
    page.part("fold").hidden = !folded.length;
    page.part("fold").textContent = foldTitle(folded.length, report.limits);
    this.fold(page.part("fold").ariaExpanded !== "true");
    page.part("findings").classList.toggle("few", !words.isLong(about));
    page.part("findings").replaceChildren(...order.map((entry) => this.row(entry, folded)));
    this.gate.show();
    return order;
  }

  fold(folded) {
    this.page.part("fold").ariaExpanded = String(!folded);
    this.page.part("findings").classList.toggle("fold", folded);
  }

  // The finding chosen before (the same film, read by another model), else the likeliest above its threshold.
  firstChoice(findings) {
    const { finding, result } = this.page;
    const { positive } = result.report;
    const before = findings.find((entry) => entry.name === finding);
    return (before || findings.find((entry) => positive[entry.name]) || findings[0]).name;
  }

  showFacts() {
    const { page } = this;
    const { film, result } = page;
    const drawn = film.synthetic ? " (synthetic: drawn by a program, of nobody)" : "";
    const source = film.name + drawn + (film.corrected ? `, ${film.corrected} here` : "");
    page.part("facts").textContent = words.filmFacts(result.report, result.seconds, source);
    const warnings = result.report.warnings.map((text) => make("li", {}, text));
    page.part("warnings").replaceChildren(...warnings);
  }

  row({ name, title, description, normal }, folded) {
    const { about, result } = this.page;
    const { probabilities, positive, thresholds, limits } = result.report;
    const share = probabilities[name];
    const told = words.sentenceOf(about, result.report, name, result.report.heatmaps[name]);
    const radio = make("input", { type: "radio", name: "cxr-finding", value: name });
    radio.addEventListener("change", () => this.choose(name));
    const fill = make("span", { className: "fill", style: `width:${100 * share}%` });
    const bar = make("span", { className: "bar", "aria-hidden": "true" }, fill);
    for (const mark of limits ? [limits.out[name], limits.into[name]] : [thresholds[name]]) {
      if (mark !== null) bar.append(make("span", { className: "mark", style: `left:${100 * mark}%` }));
    }
    const row = make(
      "label",
      { className: "finding" },
      radio,
      make("span", { className: "name" }, title),
      make("span", { className: "verdict" }, words.verdict(about, result.report, name)),
      make("span", { className: "probability" }, words.percent(share)),
      bar,
      make("span", { className: "told" }, told),
      make("span", { className: "about-finding" }, description),
    );
    row.classList.toggle("folded", folded.includes(name));
    Object.assign(row.dataset, { finding: name, probability: share, positive: positive[name], normal });
    return row;
  }

  choose(name) {
    for (const row of this.page.part("findings").children) {
      const chosen = row.dataset.finding === name;
      row.classList.toggle("chosen", chosen);
      row.querySelector("input").checked = chosen;
    }
    this.heatmap.choose({ finding: name });
    this.meaning.show();
    this.shaking.show();
    this.erasing.show();
  }
}
