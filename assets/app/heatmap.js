// The film with the heatmap of the chosen finding over it, and what the heatmap says.

import { place } from "./boxes.js";
import { make } from "./dom.js";
import { isNoBetterThanNoise, localisationOf, locatedInWords } from "./located.js";
import { BLUES, canvasWords, colourMap, gradient, strongest } from "./maps.js";
import { evidence, findingOf, methodNote, nothing, outsideInWords, sumInWords, ticks } from "./words.js";

export const METHODS = {
  "gradcam": "Grad-CAM",
  "gradcam++": "Grad-CAM++",
  "layercam": "LayerCAM",
  "hirescam": "HiResCAM",
  "eigencam": "EigenCAM",
  "random": "Random map (a control)",
};
export const ONE_SCALE = "One scale for every finding of this film.";
const BLUE_COVER = 0.6; // the film stays visible where the whole lung speaks against a finding
const MAX_SIDE = 512; // pixels of the heatmap's canvas: plenty for so few cells, and quick

/** The colours of evidence for a finding and against it, canvas words. */
export const mapColours = (page) => [canvasWords(page.start.colours), canvasWords(BLUES, BLUE_COVER)];

/** A map on a canvas over a film { width, height }, in the colours for and against; null: nothing. */
export function paintMap(canvas, map, film, colours) {
  const shrink = Math.max(1, Math.max(film.width, film.height) / MAX_SIDE);
  const [width, height] = [film.width, film.height].map((side) => Math.round(side / shrink));
  Object.assign(canvas, { width, height });
  if (map) canvas.getContext("2d").putImageData(mapPicture(map, width, height, colours), 0, 0);
}

function mapPicture(map, width, height, [inFavour, against]) {
  const words = colourMap(map, width, height, inFavour, map.scale === "logit" ? against : null);
  return new ImageData(new Uint8ClampedArray(words.buffer), width, height);
}

export class Heatmap {
  constructor(page) {
    this.page = page;
    [this.colours, this.blues] = mapColours(page);
    const titles = Object.entries(METHODS).map(([value, title]) => make("option", { value }, title));
    page.part("method").replaceChildren(...titles);
    this.listen();
  }

  listen() {
    const { page } = this;
    const on = (name, kind, act) => page.part(name).addEventListener(kind, (event) => act(event.target.value));
    on("method", "change", (method) => this.choose({ method }));
    on("against", "change", () => this.draw());
    on("show-boxes", "change", () => this.draw());
    on("show-chest", "change", () => this.draw());
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

  get quietWords() {
    const { about, finding, result } = this.page;
    return nothing(findingOf(about, finding), result.report);
  }

  get againstIsShown() {
    return this.page.part("against").checked && this.page.map.scale === "logit";
  }

  get shownColours() {
    return [this.colours, this.againstIsShown ? this.blues : null];
  }

  /** Whether the maps of this finding were measured to point no better than random ones. */
  get isFaint() {
    const { about, finding, map } = this.page;
    return map.method === "gradcam" && isNoBetterThanNoise(localisationOf(about, finding));
  }

  /** The boxes that are drawn, in shares of the film. */
  get boxes() {
    const { page } = this;
    return page.part("show-boxes").checked && !this.isQuiet ? page.map.boxes : [];
  }

  /** The corners of the chest, in shares of the film; null where it was not outlined or is not to be drawn. */
  get chest() {
    return this.page.part("show-chest").checked ? this.page.map.chest : null;
  }

  /** What the map adds up to, how well such maps point, and whether this one points beside the chest. */
  get notes() {
    const { map, about, finding, result } = this.page;
    const located = map.method === "gradcam" ? locatedInWords(about, finding) : "";
    return [sumInWords(map, about, result.report), located].filter(Boolean);
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
    const canvas = page.part("canvas");
    paintMap(canvas, quiet ? null : map, page.result.report.film, this.shownColours);
    canvas.setAttribute("aria-label", quiet ? "No heatmap. " + this.quietWords : "Heatmap for " + entry.title);
    page.part("quiet").hidden = !quiet;
    page.part("quiet-text").textContent = this.quietWords;
    page.part("evidence").textContent = evidence(map);
    page.part("map-notes").replaceChildren(...this.notes.map((text) => make("li", {}, text)));
    page.notice("outside", outsideInWords(map));
    page.part("stage").dataset.faint = this.isFaint;
    page.part("boxes").replaceChildren(...this.boxes.map((box) => boxOn(box)));
    page.part("chest").setAttribute("points", (this.chest || []).join(" "));
    page.part("show-chest").disabled = !map.chest;
    this.showScale();
  }

  ask() {
    const { page } = this;
    page.part("evidence").textContent = "";
    page.part("map-notes").replaceChildren();
    page.part("boxes").replaceChildren();
    page.notice("outside", "");
    page.part("quiet").hidden = true;
    const { token, finding, method } = page;
    page.trigger("ask_method", { token, model: page.about.name, finding, method });
  }

  /** The map in its colours, ImageData of width x height pixels. */
  picture(width, height) {
    return mapPicture(this.page.map, width, height, this.shownColours);
  }

  get ticks() {
    return ticks(this.page.map, strongest(this.page.map), this.againstIsShown);
  }

  showScale() {
    const { page } = this;
    const against = this.againstIsShown;
    page.part("legend").classList.toggle("both", against);
    page.root.querySelector(".against + .ramp").style.background = gradient("right", this.colours);
    page.root.querySelector(".ramp.against").style.background = gradient("left", this.blues);
    page.part("against").disabled = page.map.scale !== "logit";
    page.part("ticks").replaceChildren(...this.ticks.map((word) => make("span", {}, word)));
    page.part("scale-note").textContent = page.map.scale === "logit" ? ONE_SCALE : "";
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

function boxOn(box) {
  const node = make("span", {});
  place(node, box);
  return node;
}
