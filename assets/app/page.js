// What the parts of the page share: its elements, the server, and what is on the screen.

import { make } from "./dom.js";
import { sentence } from "./words.js";

const PATIENCE_MS = 120_000;
const SILENCE = { kind: "error", message: "The server did not answer. Please try again." };

export class Page {
  /**
   * @param element Gradio's element of the component
   * @param start the first value: what the server offers
   * @param server the server's functions
   * @param trigger sends an event to the server
   */
  constructor({ element, start, server, trigger }) {
    this.root = element.querySelector(".cxr");
    Object.assign(this, { start, server, trigger });
    this.film = { name: "", synthetic: false };
    this.token = null; // of the film in the server's memory
    this.about = null; // the model's facts
    this.result = null;
    this.chosenBefore = null; // the visitor's model, while another reads a drawn film
    this.finding = null; // the chosen one
    this.method = "gradcam";
    this.correcting = ""; // what the server was asked to put right, in words
    this.maps = {}; // method -> finding -> map
    this.erased = null; // a region of the film, what filled it, and every finding before and after
    this.shown = false; // a map without more evidence than in other films is drawn all the same
  }

  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  get map() {
    return this.maps[this.method]?.[this.finding];
  }

  get modelName() {
    return this.part("model").value;
  }

  /** Show a mode, "film", "many" or "learn". */
  show(mode) {
    this.root.dataset.mode = mode;
    for (const button of this.part("modes").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    }
  }

  /** Show a state of the one film, "empty", "reading" or "result". */
  enter(state, words = "") {
    const reading = state === "reading";
    this.root.dataset.state = state;
    this.root.setAttribute("aria-busy", String(reading));
    this.part("model").disabled = reading; // the film is on its way to one model
    clearTimeout(this.timeout);
    if (!reading) return;
    this.part("error").hidden = true;
    this.part("reading-text").textContent = words;
    const message = "The server has not answered for two minutes. Please try again.";
    this.timeout = setTimeout(() => this.fail(message), PATIENCE_MS);
  }

  /** Wait for the result of another film; the one before is deleted from the server's memory. */
  read(film, words) {
    this.letGo();
    Object.assign(this, { film, correcting: "" });
    this.root.toggleAttribute("data-listed", Boolean(film.listed));
    this.chooseModel();
    this.enter("reading", words);
  }

  // A drawn film goes to a model that learned from drawn films; the next real film to the model chosen before.
  chooseModel() {
    const menu = this.part("model");
    const drawn = this.start.models.filter(({ synthetic }) => synthetic).map(({ name }) => name);
    if (this.film.synthetic && drawn.length && !drawn.includes(menu.value) && !this.about?.synthetic) {
      this.chosenBefore = menu.value;
      menu.value = drawn[0];
    } else if (!this.film.synthetic && this.chosenBefore) {
      menu.value = this.chosenBefore;
      this.chosenBefore = null;
    }
  }

  letGo() {
    if (this.token) this.server.forget(this.token);
    this.root.dispatchEvent(new Event("letgo")); // what stands beside the film goes too
    Object.assign(this, { token: null, result: null, maps: {}, finding: null });
  }

  fail(message) {
    this.letGo();
    this.enter("empty");
    this.part("error").textContent = sentence(message);
    this.part("error").hidden = false;
  }

  /** A notice of the page; without words its place is hidden. */
  notice(name, words, begin = "") {
    this.part(name).replaceChildren(...(begin ? [make("strong", {}, begin), " "] : []), words || "");
    this.part(name).hidden = !words;
  }

  /** Call a server function; the answer is of kind "error" where the server cannot be reached. */
  async call(name, argument) {
    return this.server[name](argument).catch(() => SILENCE);
  }
}
