// A region of the film erased: how far the answer moves, beside what the map says that the region contributes.

import { BoxTool, place } from "./boxes.js";
import { make } from "./dom.js";
import { answerTo } from "./decisions.js";
import { findingOf, percent, sentence, signed } from "./words.js";

const SLIGHT = 0.1; // logits: no more than that is next to nothing
const WAITING =
  "Drag a box on the film. With the keyboard: arrow keys move the box, with Shift they change its size, " +
  "Enter erases it, Escape ends this.";

/** How to read a move beside the map's claim, both in logits. */
export function comparison({ move, claim }) {
  if (claim === null) return "This model’s maps have no logit scale, so they claim nothing to compare this with.";
  const expected = -claim;
  const [moved, wanted] = [Math.abs(move), Math.abs(expected)];
  if (moved <= SLIGHT && wanted <= SLIGHT) return "The region hardly matters for this answer, and the map says so.";
  const agree = "They agree to within a factor of two: for this region the map explains the answer.";
  if (Math.abs(move - expected) <= SLIGHT) return agree;
  if (moved <= SLIGHT) return "They disagree: the answer hardly needs what the map shows here.";
  if (wanted <= SLIGHT) return "They disagree: the map shows next to nothing here, yet the answer moved.";
  if (move * expected < 0) return "They disagree: the answer moved the other way. Do not rely on the map here.";
  if (moved > 2 * wanted) {
    return "Same direction, but the answer moved more: what now fills the region counts too, and changes how its " +
      "surroundings are read.";
  }
  if (wanted > 2 * moved) return "Same direction, but the answer moved less than half as far as the map claims.";
  return agree;
}

/** A finding before and after, and whether it crossed its threshold. */
export function erasedInWords(about, report, findings, name) {
  const { title } = findingOf(about, name);
  const [before, after] = findings[name].probabilities;
  const told = `${title}: ${percent(before)} → ${percent(after)} without the dashed region`;
  if (report.positive[name] === null && !report.limits) return told + ".";
  const later = Object.fromEntries(Object.entries(findings).map(([key, row]) => [key, row.probabilities[1]]));
  const positive = answerTo(report, later, name);
  if (positive === report.positive[name]) return told + ".";
  if (report.limits) return `${told}, now ${{ true: "ruled in", false: "ruled out", null: "unsure" }[positive]}.`;
  if (report.thresholds[name] === null) return `${told}, and ${positive ? "now" : "no longer"} the most likely.`;
  return `${told}, ${positive ? "now above" : "no longer above"} its threshold.`;
}

export class Erasing {
  constructor(page) {
    this.page = page;
    page.part("erase").addEventListener("click", () => this.begin());
    page.part("erase-strongest").addEventListener("click", () => this.ask(page.map.boxes[0]));
    page.part("restore").addEventListener("click", () => {
      this.reset();
      page.part("erase").focus();
    });
    this.tool = new BoxTool(page.part("eraser"), page.screen, (box) => this.draw(box), (box) => this.drawn(box));
  }

  drawn(box) {
    if (box) return this.ask(box);
    this.end();
    this.page.part("erase").focus();
  }

  /** A result, or another finding or map of it. */
  show() {
    const { page } = this;
    if (this.token !== page.token) this.reset();
    this.token = page.token;
    this.offer();
    this.tell();
  }

  /** Whether the map has a strongest place to erase. */
  offer() {
    const { page } = this;
    page.part("erase-strongest").disabled = !page.map?.boxes?.length;
  }

  /** Let the visitor draw a box, which begins at the map's strongest place. */
  begin() {
    const { page } = this;
    page.part("erase-status").textContent = WAITING;
    this.tool.begin(page.erased?.box || page.map?.boxes?.[0] || [0.35, 0.35, 0.65, 0.65]);
  }

  /** Stop drawing; what was erased before stays. */
  end() {
    const { page } = this;
    page.part("eraser").hidden = true;
    if (page.erased) this.draw(page.erased.box);
    else page.part("region").hidden = true;
    this.tell();
  }

  draw(box) {
    place(this.page.part("region"), box);
    this.page.part("region").hidden = false;
  }

  /** The film as it was. */
  reset() {
    this.page.erased = null;
    this.page.part("fill").hidden = true;
    this.end();
  }

  async ask(box) {
    const { page } = this;
    const { token, about } = page;
    page.part("eraser").hidden = true;
    this.draw(box);
    page.part("erase-status").textContent = "Reading the film without the region.";
    page.part("erase").disabled = true;
    const answer = await page.call("erase", { token, model: about.name, box });
    page.part("erase").disabled = false;
    if (token !== page.token) return;
    if (answer.kind === "error") {
      this.end();
      page.part("erase-status").textContent = sentence(answer.message);
      return;
    }
    page.erased = answer;
    this.draw(answer.box);
    place(page.part("fill"), answer.box);
    page.part("fill").src = answer.fill;
    page.part("fill").hidden = false;
    this.tell();
  }

  /** What the erased region did to the chosen finding. */
  tell() {
    const { page } = this;
    const { erased } = page;
    page.part("restore").hidden = page.part("erased").hidden = !erased;
    page.part("comparison").textContent = "";
    if (!page.part("eraser").hidden) return;
    page.part("erase-status").textContent = "";
    if (!erased) return;
    const { about, result, finding } = page;
    const row = erased.findings[finding];
    page.part("erase-status").textContent = erasedInWords(about, result.report, erased.findings, finding);
    page.part("comparison").textContent = comparison(row);
    const bars = [["Its logit moved by", row.move]];
    if (row.claim !== null) bars.push(["By the map it would", row.claim ? -row.claim : 0]);
    const most = Math.max(1, ...bars.map(([, value]) => Math.abs(value)));
    page.part("erased").replaceChildren(...bars.map(([words, value]) => bar(words, value, most)));
  }
}

// A value beside a line at zero.
function bar(words, value, most) {
  const share = (50 * Math.abs(value)) / most;
  const fill = make("span", { className: "fill", style: `left:${value < 0 ? 50 - share : 50}%;width:${share}%` });
  const axis = make("span", { className: "mark", style: "left:50%" });
  const track = make("span", { className: "bar", "aria-hidden": "true" }, fill, axis);
  return make("li", {}, make("span", {}, words), track, make("span", {}, signed(value)));
}
