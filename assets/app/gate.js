// What the input gate says of the film: reasons, a correction at a click, and findings withheld until asked for.

import { make } from "./dom.js";
import { correction, refusal } from "./words.js";

export class Gate {
  constructor(page, findingsShown) {
    this.page = page;
    page.part("anyway").addEventListener("click", () => {
      page.result.report.gate.overruled = true; // every export says so
      findingsShown();
    });
    page.part("correct").addEventListener("click", () => this.correct());
  }

  get verdict() {
    return this.page.result.report.gate;
  }

  get withheld() {
    return this.verdict.accepted === false && !this.verdict.overruled;
  }

  show() {
    const { page, verdict, withheld } = this;
    page.root.dataset.gate = withheld ? "refused" : "open";
    const reasons = [...verdict.sentences];
    if (verdict.overruled) reasons.push("Analysed all the same, as you asked: the numbers below may mean nothing.");
    page.part("gate-reasons").replaceChildren(...reasons.map((text) => make("li", {}, text)));
    page.part("gate").hidden = !reasons.length;
    page.part("anyway").hidden = !withheld;
    const words = withheld && correction(verdict);
    page.part("correct").hidden = !words;
    page.part("correct").textContent = words || "";
    if (withheld) page.part("summary").textContent = refusal(verdict);
  }

  /** Read the film again, turned or with black and white exchanged. */
  correct() {
    const { page } = this;
    const { turn, invert } = this.verdict;
    page.correcting = correction(this.verdict, true); // a fact of the film once the server has read it so
    page.enter("reading", "Reading the corrected film");
    const wanted = { turn: String(turn), invert: String(invert) };
    page.trigger("ask_model", { model: page.about.name, token: page.token, ...wanted });
    page.token = null;
  }
}
