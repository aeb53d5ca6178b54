// The film of a case: boxes drawn by dragging, by touch or with the keyboard; the map and the boxes of the truth.

import { make } from "./dom.js";
import { boxBetween, nudged, place } from "./erase.js";
import { BLUES, canvasWords, colourMap } from "./maps.js";

const LEAST = 0.01; // of the film's width and height: a smaller box is a slip
const STEP = 0.02; // of the film, an arrow key
const FIRST = [0.35, 0.35, 0.65, 0.65];
const MAX_SIDE = 512; // pixels of the map's canvas
const BLUE_COVER = 0.6;

export class CaseFilm {
  /** @param done called with a box, or with null where drawing was given up */
  constructor(page, done) {
    Object.assign(this, { page, done, corner: null, box: null });
    this.colours = canvasWords(page.start.colours);
    this.blues = canvasWords(BLUES, BLUE_COVER);
    const layer = page.part("learn-draw");
    layer.addEventListener("pointerdown", (event) => this.begin(event));
    layer.addEventListener("pointermove", (event) => this.corner && this.stretch(event));
    layer.addEventListener("pointerup", (event) => this.corner && this.end(event));
    layer.addEventListener("pointercancel", () => this.finish(null));
    layer.addEventListener("keydown", (event) => this.key(event));
    page.part("learn-invert").addEventListener("change", (event) => {
      page.part("learn-picture").classList.toggle("inverted", event.target.checked);
    });
  }

  /** Show a film; nothing is drawn on it yet. */
  async show({ picture, size }) {
    const { page } = this;
    page.part("learn-film").style.setProperty("--ratio", size[0] / size[1]);
    page.part("learn-picture").src = picture;
    page.part("learn-draw").hidden = true;
    this.boxes([]);
    this.map(null);
    await page.part("learn-picture").decode();
  }

  /** Draw boxes: [kind, title, corners] each, kind "yours" or "true". */
  boxes(boxes) {
    this.drawn = boxes;
    const nodes = boxes.map(([kind, title, corners]) => {
      const node = make("span", { className: `learn-box learn-${kind}` }, make("span", {}, title));
      place(node, corners);
      return node;
    });
    this.page.part("learn-boxes").replaceChildren(...nodes);
  }

  /** Draw a map over the film; null: none. */
  map(map, title = "") {
    const canvas = this.page.part("learn-map");
    canvas.hidden = !map;
    canvas.setAttribute("aria-label", map ? `Map of the model for ${title}` : "No map is shown");
    if (!map) return;
    const { naturalWidth, naturalHeight } = this.page.part("learn-picture");
    const shrink = Math.max(1, Math.max(naturalWidth, naturalHeight) / MAX_SIDE);
    const [width, height] = [naturalWidth, naturalHeight].map((side) => Math.round(side / shrink));
    Object.assign(canvas, { width, height });
    const words = colourMap(map, width, height, this.colours, map.scale === "logit" ? this.blues : null);
    const pixels = new ImageData(new Uint8ClampedArray(words.buffer), width, height);
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }

  /** Let the reader draw one box for a finding. */
  draw(title) {
    const layer = this.page.part("learn-draw");
    this.box = FIRST;
    this.corner = null;
    this.preview = make("span", { className: "learn-box learn-yours" });
    place(this.preview, this.box);
    layer.replaceChildren(this.preview);
    const keys = "Drag on the film; or arrow keys move the box, with Shift they change its size, Enter sets it.";
    layer.setAttribute("aria-label", `Box for ${title}. ${keys} Escape gives up.`);
    layer.hidden = false;
    layer.scrollIntoView({ block: "nearest" });
    layer.focus({ preventScroll: true });
  }

  get isDrawing() {
    return !this.page.part("learn-draw").hidden;
  }

  finish(box) {
    this.corner = null;
    this.page.part("learn-draw").hidden = true;
    this.done(box);
  }

  at(event) {
    const frame = this.page.part("learn-draw").getBoundingClientRect();
    return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
  }

  begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    event.target.setPointerCapture?.(event.pointerId);
    this.corner = this.at(event);
  }

  stretch(event) {
    this.box = boxBetween(this.corner, this.at(event));
    place(this.preview, this.box);
  }

  end(event) {
    this.stretch(event);
    const [left, top, right, bottom] = this.box;
    this.corner = null;
    if (right - left >= LEAST && bottom - top >= LEAST) return this.finish(this.box);
    this.box = FIRST;
    place(this.preview, this.box);
  }

  key(event) {
    const ways = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    if (event.key === "Enter") this.finish(this.box);
    else if (event.key === "Escape") this.finish(null);
    else if (ways[event.key]) {
      this.box = nudged(this.box, ...ways[event.key], event.shiftKey);
      place(this.preview, this.box);
    } else return;
    event.preventDefault();
  }
}
