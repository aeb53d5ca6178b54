// The film with the heatmap of the chosen finding over it, and what the heatmap says.

import { make } from "./dom.js";
import { BLUES, canvasWords, colourMap, gradient, strongest } from "./maps.js";
import { evidence, findingOf, methodNote, nothing, ticks } from "./words.js";

export const METHODS = {
  "gradcam": "Grad-CAM",
  "gradcam++": "Grad-CAM++",
  "layercam": "LayerCAM",
  "hirescam": "HiResCAM",
  "eigencam": "EigenCAM",
  "random": "Random map (a control)",
};
const MAX_SIDE = 512; // pixels of the heatmap's canvas: plenty for so few cells, and quick

export class Heatmap {
  constructor(page) {
    this.page = page;
    this.colours = canvasWords(page.start.colours);
    this.blues = canvasWords(BLUES);
    const titles = Object.entries(METHODS).map(([value, title]) => make("option", { value }, title));
    page.part("method").replaceChildren(...titles);
    this.listen();
  }

  listen() {
    const { page } = this;
    const on = (name, kind, act) => page.part(name).addEventListener(kind, (event) => act(event.target.value));
    on("method", "change", (method) => this.choose({ method }));
    on("against", "change", () => this.draw());
    on("show-anyway", "click", () => {
      page.shown = true;
      this.draw();
      page.part("against").focus();
    });
    on("opacity", "input", (value) => page.root.style.setProperty("--opacity", value / 100));
    on("sweep", "input", (value) => page.root.style.setProperty("--sweep", value / 10 + "%"));
    on("views", "change", (view) => (page.part("stage").dataset.view = view));
  }

  /** Draw another method's map, or another finding's. */
  choose(choice) {
    Object.assign(this.page, choice, { shown: false });
    this.draw();
  }

  /** Whether there is no more evidence than in films without the finding, so that nothing is drawn. */
  get isQuiet() {
    return this.page.map.evidence === false && !this.page.shown;
  }

  get againstIsShown() {
    return this.page.part("against").checked && this.page.map.scale === "logit";
  }

  /** The map of the chosen finding by the chosen method: drawn at once if it is here, else asked for. */
  draw() {
    const { page } = this;
    const { map, about } = page;
    page.part("stage").setAttribute("aria-busy", String(!map));
    page.part("method-note").textContent = map ? methodNote(map, about) : "Asking for this map.";
    if (!map) return this.ask();
    const entry = findingOf(about, page.finding);
    const quiet = this.isQuiet;
    const image = page.part("image");
    const shrink = Math.max(1, Math.max(image.naturalWidth, image.naturalHeight) / MAX_SIDE);
    const [width, height] = [image.naturalWidth, image.naturalHeight].map((side) => Math.round(side / shrink));
    const canvas = page.part("canvas");
    Object.assign(canvas, { width, height });
    if (!quiet) canvas.getContext("2d").putImageData(this.picture(width, height), 0, 0);
    canvas.setAttribute("aria-label", quiet ? "No heatmap. " + nothing(entry) : "Heatmap for " + entry.title);
    page.part("quiet").hidden = !quiet;
    page.part("quiet-text").textContent = nothing(entry);
    page.part("evidence").textContent = evidence(map, entry, page.result.report);
    this.showScale();
  }

  ask() {
    const { page } = this;
    page.part("evidence").textContent = "";
    page.part("quiet").hidden = true;
    const { token, finding, method } = page;
    page.trigger("ask_method", { token, model: page.about.name, finding, method });
  }

  /** The map in its colours, ImageData of width x height pixels. */
  picture(width, height) {
    const words = colourMap(this.page.map, width, height, this.colours, this.againstIsShown ? this.blues : null);
    return new ImageData(new Uint8ClampedArray(words.buffer), width, height);
  }

  showScale() {
    const { page } = this;
    const against = this.againstIsShown;
    page.part("legend").classList.toggle("both", against);
    page.root.querySelector(".against + .ramp").style.background = gradient("right", this.colours);
    page.root.querySelector(".ramp.against").style.background = gradient("left", this.blues);
    page.part("against").disabled = page.map.scale !== "logit";
    const words = ticks(page.map, strongest(page.map), against);
    page.part("ticks").replaceChildren(...words.map((word) => make("span", {}, word)));
  }

  /** A map that was asked for is here. */
  receive({ asked, map }) {
    const { page } = this;
    if (asked.token !== page.token) return;
    (page.maps[asked.method] ||= {})[asked.finding] = map;
    if (asked.method === page.method && asked.finding === page.finding) this.draw();
  }

  /** A method that failed leaves the first one's map. */
  refuse({ asked, message }) {
    if (asked.method !== this.page.method) return;
    this.page.part("method").value = "gradcam";
    this.page.method = "gradcam";
    this.draw();
    this.page.part("method-note").textContent = message;
  }
}
