// The score of a round on the page: five numbers, a table by finding, and what the model's answer changed.

import { make } from "./dom.js";
import { areaInWords, changesInWords, shareInWords, timeInWords } from "./roundwords.js";

/** Show the scores of a round, as the server gives them. */
export function showScore(page, round, scores) {
  const { set } = round;
  const cases = `${scores.n} of ${set.cases} cases`;
  page.part("learn-scored").textContent = `${set.title} · ${cases}${set.model ? ` · beside ${set.model}` : ""}`;
  page.part("learn-cards").replaceChildren(...cards(scores));
  page.part("learn-table").replaceChildren(...table(scores, round));
  page.part("learn-changed-title").hidden = page.part("learn-changed").hidden = !round.revise;
  page.part("learn-changed").replaceChildren(...changesInWords(scores).map((line) => make("li", {}, line)));
  page.part("learn-rules").textContent = rules(scores, set);
  page.part("learn-more").hidden = !round.phantoms;
}

function cards({ overall, boxes, seconds }) {
  const { before, model } = overall;
  const beside = (key, words) => (model ? `model ${words(model[key])}` : "");
  const entries = [
    ["AUROC", areaInWords(before.auroc), beside("auroc", areaInWords)],
    ["Sensitivity (found)", shareInWords(before.sensitivity), beside("sensitivity", shareInWords)],
    ["Specificity (cleared)", shareInWords(before.specificity), beside("specificity", shareInWords)],
    ["Time a case", timeInWords(seconds.median), seconds.total === null ? "" : `${timeInWords(seconds.total)} in all`],
  ];
  if (boxes.hit.value !== null) {
    const overlap = `overlap (IoU) ${boxes.mean_iou.toFixed(2)} on average`;
    entries.splice(3, 0, ["Boxes that hit", shareInWords(boxes.hit), overlap]);
  }
  return entries.map(([title, value, note]) => {
    const [number, interval] = value.startsWith("none") ? ["–", value] : value.split(/ (?=\()/);
    return make(
      "div",
      {},
      make("dt", {}, title),
      make("dd", { className: "learn-number" }, number),
      ...[interval, note].filter(Boolean).map((line) => make("dd", { className: "muted small" }, line)),
    );
  });
}

function table({ findings, overall }, { revise, set }) {
  const { model } = set;
  const heads = ["Finding", "With / without", "AUROC", ...(revise ? ["with the model"] : [])];
  heads.push(...(model ? ["the model"] : []), "Sensitivity", "Specificity");
  const row = (title, counts, scores) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, title),
      ...[
        counts,
        short(scores.before.auroc),
        ...(revise ? [short(scores.after.auroc)] : []),
        ...(model ? [scores.model ? short(scores.model.auroc) : "–"] : []),
        rate(scores.before.sensitivity),
        rate(scores.before.specificity),
      ].map((text) => make("td", {}, text)),
    );
  const title = (name) => set.findings.find((finding) => finding.name === name).title;
  const rows = Object.entries(findings).map(([name, scores]) =>
    row(title(name), `${scores.n_pos} / ${scores.n_neg}`, scores),
  );
  if (rows.length > 1) rows.push(row("All", "", overall));
  return [
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...rows),
  ];
}

const short = (area) => (area.value === null ? "–" : areaInWords(area));
const rate = (share) => (share.value === null ? "–" : shareInWords(share));

function rules({ rules: { called, boxes }, findings }, set) {
  const several = Object.keys(findings).length > 1;
  const all = several ? "“All”: the mean AUROC over findings, and the rates over all answers. " : "";
  const place = set.has_boxes ? boxes + " " : "";
  return `${all}${called} ${place}In brackets: 95 % intervals by patient. “–”: not defined on these cases.`;
}
