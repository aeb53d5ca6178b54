// A region of the film erased: how far the answer moves, beside what the map says that the region contributes.

import { make } from "./dom.js";
import { answerTo } from "./decisions.js";
import { directionRead } from "./viewport.js";
import { findingOf, percent, sentence, signed } from "./words.js";

const SLIGHT = 0.1; // logits: no more than that is next to nothing
const LEAST = 0.02; // of the film's width and height: a smaller box is a click
const STEP = 0.02; // of the film, an arrow key
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

/** The box between two corners, [left, top, right, bottom], held on the film; corners in shares of it. */
export function boxBetween([x, y], [toX, toY]) {
  const held = (value) => Math.min(1, Math.max(0, value));
  return [Math.min(x, toX), Math.min(y, toY), Math.max(x, toX), Math.max(y, toY)].map(held);
}

/** A box moved, or with `resize` its lower right corner, by shares of the film; it stays on it. */
export function nudged([left, top, right, bottom], x, y, resize) {
  if (resize) {
    return [left, top, Math.min(1, Math.max(left + LEAST, right + x)), Math.min(1, Math.max(top + LEAST, bottom + y))];
  }
  const [across, down] = [Math.min(1 - right, Math.max(-left, x)), Math.min(1 - bottom, Math.max(-top, y))];
  return [left + across, top + down, right + across, bottom + down];
}

/** Put an element where a box lies on the film. */
export function place(node, [left, top, right, bottom]) {
  const sides = { left, top, width: right - left, height: bottom - top };
  for (const [side, share] of Object.entries(sides)) node.style[side] = `${100 * share}%`;
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
    this.listen(page.part("eraser"));
  }

  listen(eraser) {
    const { screen } = this.page;
    const at = ({ clientX, clientY }) => screen.shareAt(screen.pointOf({ clientX, clientY }));
    eraser.addEventListener("pointerdown", (event) => {
      if (!event.isPrimary || event.button) return;
      event.preventDefault();
      eraser.setPointerCapture(event.pointerId);
      this.corner = at(event);
    });
    eraser.addEventListener("pointermove", (event) => this.corner && this.draw(boxBetween(this.corner, at(event))));
    eraser.addEventListener("pointercancel", () => (this.corner = null));
    eraser.addEventListener("pointerup", (event) => {
      if (!this.corner) return;
      const box = boxBetween(this.corner, at(event));
      this.corner = null;
      if (Math.min(box[2] - box[0], box[3] - box[1]) >= LEAST) this.ask(box);
    });
    eraser.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    const { page } = this;
    const arrows = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    if (event.key in arrows) {
      const step = directionRead(...arrows[event.key], page.screen.orientation);
      this.draw(nudged(this.box, ...step, event.shiftKey));
    } else if (event.key === "Enter") this.ask(this.box);
    else if (event.key === "Escape") {
      this.end();
      page.part("erase").focus();
    } else return;
    event.preventDefault();
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
    page.part("eraser").hidden = false;
    page.part("erase-status").textContent = WAITING;
    this.draw(page.erased?.box || page.map?.boxes?.[0] || [0.35, 0.35, 0.65, 0.65]);
    page.part("stage").scrollIntoView({ block: "nearest" });
    page.part("eraser").focus({ preventScroll: true });
  }

  /** Stop drawing; what was erased before stays. */
  end() {
    const { page } = this;
    page.part("eraser").hidden = true;
    this.corner = null;
    if (page.erased) this.draw(page.erased.box);
    else page.part("region").hidden = true;
    this.tell();
  }

  draw(box) {
    this.box = box;
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
