// The film on the screen: only the visible pixels, from its own values, through the visitor's window.

import { halves, oriented, presets, sample, shades, unpacked } from "./grey.js";
import { Rulers } from "./rulers.js";
import { AS_READ, bounded, placed, pointed, scaleBar, sizeShown, toRead, zoomedTo } from "./viewport.js";

const SLOW_MS = 12; // a frame that took longer is drawn at half the pixels while the film moves
const SETTLED_MS = 160;

export class Screen {
  /** @param stage holds panes of one film; marks lie on the last */
  constructor(stage) {
    this.stage = stage;
    this.panes = [...stage.querySelectorAll(".pane")];
    this.pane = this.panes.at(-1);
    this.canvases = this.panes.map((pane) => pane.querySelector(".grey"));
    this.picture = this.pane.querySelector("img"); // in place of values that are not here
    this.rulers = new Rulers();
    this.drawn = () => {};
    this.changed = () => {}; // another part of the film, or another window
    this.forget();
    new ResizeObserver(() => this.request()).observe(this.pane);
  }

  /** Another film: its picture is shown until its values are here. */
  forget() {
    Object.assign(this, { grey: null, levels: null, facts: null, film: { width: 1, height: 1 } });
    Object.assign(this, { view: null, orientation: AS_READ, inverted: false, window: null, presets: null });
    Object.assign(this, { words: null, sampled: null });
    this.rulers.clear();
    this.stage.classList.remove("has-values");
  }

  get room() {
    return { width: this.pane.clientWidth, height: this.pane.clientHeight };
  }

  get size() {
    return sizeShown(this.film, this.orientation);
  }

  get place() {
    return placed(this.view, this.size, this.room, this.ratio);
  }

  get zoom() {
    return bounded(this.view, this.size, this.room).zoom;
  }

  get ratio() {
    return window.devicePixelRatio || 1;
  }

  /** What the server sent of the film; it has no data where the film is too large. */
  async receive(payload) {
    this.facts = payload.facts;
    if (!payload.data || !("DecompressionStream" in window)) return;
    const { width, height, most, first, step, inverted } = payload;
    const packed = (await fetch("data:application/octet-stream;base64," + payload.data)).body;
    const bytes = await new Response(packed.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
    const values = unpacked(new Uint8Array(bytes), width, height);
    this.take({ values, width, height, most, first, step, inverted, window: payload.window });
  }

  /** Show a film's grey values, through its own window. */
  take(grey) {
    Object.assign(this, { grey, window: grey.window, words: null });
    this.presets = presets(grey);
    this.orient(this.orientation);
    this.stage.classList.add("has-values");
  }

  /** Turn or mirror what is shown. */
  orient(orientation) {
    this.orientation = orientation;
    this.levels = this.grey && halves(oriented(this.grey, orientation));
    this.stage.style.setProperty("--ratio", this.size.width / this.size.height);
    this.sampled = null;
    this.request();
  }

  /** Another part of the film; null: all of it. */
  look(view) {
    this.view = view;
    this.stage.dataset.zoomed = view !== null;
    this.move();
    this.changed();
  }

  zoomBy(factor, point = null) {
    const { room, size, view } = this;
    const at = point || [room.width / 2, room.height / 2];
    this.look(zoomedTo(view, size, room, this.zoom * factor, at));
  }

  /** One film pixel a screen pixel. */
  actualSize(point = null) {
    this.zoomBy(1 / this.ratio / this.zoom, point);
  }

  /** Another window, or black and white exchanged. */
  shade(window, inverted = this.inverted) {
    Object.assign(this, { window, inverted, words: null });
    this.move();
    this.changed();
  }

  move() {
    this.moving = performance.now();
    this.request();
  }

  request() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = null;
      const began = performance.now();
      this.draw();
      this.cost = performance.now() - began;
      this.stage.dispatchEvent(new CustomEvent("drawn", { detail: this.cost })); // for measurements
    });
  }

  draw() {
    const { place, size, room, stage } = this;
    if (!room.width || !room.height) return;
    const { turn, mirror } = this.orientation;
    const read = { width: this.film.width * place.zoom, height: this.film.height * place.zoom };
    const left = place.left + (size.width * place.zoom - read.width) / 2;
    const top = place.top + (size.height * place.zoom - read.height) / 2;
    const turns = `translate(${left}px, ${top}px) scaleX(${mirror ? -1 : 1}) rotate(${-90 * turn}deg)`;
    const style = { "--w": read.width + "px", "--h": read.height + "px", "--placed": turns };
    for (const [name, value] of Object.entries(style)) stage.style.setProperty(name, value);
    if (this.levels) this.drawValues(place, room);
    this.drawMarks(place);
    this.drawn();
  }

  drawMarks(place) {
    const { stage, film, size, orientation, facts, bar } = this;
    this.rulers.draw(stage.querySelector(".rulers"), film, place, size, orientation, facts?.spacing);
    const node = stage.querySelector(".scale-bar");
    node.hidden = !bar;
    if (!bar) return;
    node.style.width = bar.length + "px";
    node.textContent = bar.mm >= 10 ? `${bar.mm / 10} cm` : `${bar.mm} mm`;
  }

  drawValues(place, room) {
    const moving = performance.now() - this.moving < SETTLED_MS;
    const ratio = moving && this.cost > SLOW_MS && this.ratio > 1 ? this.ratio / 2 : this.ratio;
    if (moving) {
      clearTimeout(this.settling);
      this.settling = setTimeout(() => this.request(), SETTLED_MS + 20);
    }
    this.words ||= shades(this.grey, this.window, this.inverted !== this.grey.inverted);
    const [width, height] = [Math.round(room.width * ratio), Math.round(room.height * ratio)];
    const key = [width, height, place.zoom, place.left, place.top].join();
    if (this.sampled?.key !== key) this.sampled = { key, ...this.sampleAt(place, ratio, width, height) };
    const { values, box, image, words } = this.sampled;
    const [left, top, right, bottom] = box;
    for (let y = top; y < bottom; y++) {
      for (let at = y * width + left, end = y * width + right; at < end; at++) words[at] = this.words[values[at]];
    }
    const shown = (canvas) => canvas.offsetParent !== null;
    for (const canvas of this.canvases.filter(shown)) {
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      canvas.getContext("2d").putImageData(image, 0, 0);
    }
  }

  sampleAt({ zoom, left, top }, ratio, width, height) {
    const same = this.sampled?.image.width === width && this.sampled.image.height === height;
    const { values, image, words } = same ? this.sampled : blank(width, height);
    if (same) words.fill(0);
    const place = { zoom: zoom * ratio, left: left * ratio, top: top * ratio };
    const box = sample(this.levels, place, values, width, height);
    return { values, image, words, box };
  }

  /** A square of `side` CSS pixels around a point of the pane, `times` larger, on a canvas. */
  magnify(canvas, [x, y], side, times) {
    const { zoom, left, top } = this.place;
    const pixels = Math.round(side * this.ratio);
    const scale = this.ratio * times;
    const { values, image, words } = blank(pixels, pixels);
    const place = {
      zoom: zoom * scale,
      left: pixels / 2 + (left - x) * scale,
      top: pixels / 2 + (top - y) * scale,
    };
    const box = sample(this.levels, place, values, pixels, pixels);
    for (let row = box[1]; row < box[3]; row++) {
      for (let at = row * pixels + box[0]; at < row * pixels + box[2]; at++) words[at] = this.words[values[at]];
    }
    Object.assign(canvas, { width: pixels, height: pixels });
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  /** The whole film as read through the present window, on a new canvas of its own size. */
  whole() {
    const { values, width, height } = this.grey;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const image = new ImageData(width, height);
    const words = new Uint32Array(image.data.buffer);
    const shade = shades(this.grey, this.window, this.inverted !== this.grey.inverted);
    for (let at = 0; at < words.length; at++) words[at] = shade[values[at]];
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  /** The window where it is not the film's own, in words. */
  get windowInWords() {
    const { grey, window, inverted } = this;
    if (!grey || (window === grey.window && !inverted)) return "";
    const numbers = `W ${rounded(window.width)}, L ${rounded(window.center)}`;
    return `Shown with ${numbers}${inverted ? ", inverted" : ""}; the model read the film as stored.`;
  }

  /** A pointer's place in the pane that it is over, CSS pixels. */
  pointOf({ clientX, clientY, target }) {
    const pane = target?.closest?.(".pane") || this.pane;
    const { left, top } = pane.getBoundingClientRect();
    return [clientX - left, clientY - top];
  }

  /** A place in the pane in shares of the film as read; outside the film below 0 or above 1. */
  shareAt(point) {
    const [x, y] = pointed(this.place, point);
    return toRead([x / this.size.width, y / this.size.height], this.orientation);
  }

  /** The value of the film, in the file's units, at a share of it as read; null outside. */
  valueAt([x, y]) {
    if (!this.grey || x < 0 || y < 0 || x >= 1 || y >= 1) return null;
    const { values, width, height, first, step } = this.grey;
    return first + step * values[Math.floor(y * height) * width + Math.floor(x * width)];
  }

  /** The scale bar: null without a spacing. */
  get bar() {
    const spacing = this.facts?.spacing;
    if (!spacing) return null;
    const mm = this.orientation.turn % 2 ? spacing.row_mm : spacing.column_mm;
    return scaleBar(mm / this.zoom, this.room.width / 4);
  }
}

/** A value with as many digits as a reader needs. */
export const rounded = (value) => String(Number(value.toPrecision(6)));

function blank(width, height) {
  const image = new ImageData(width, height);
  return { values: new Uint16Array(width * height), image, words: new Uint32Array(image.data.buffer) };
}
