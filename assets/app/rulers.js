// Lines that the visitor lays on the film, with their lengths.

import { distance, toShown } from "./viewport.js";

const MOST = 6;
const SHORT = 4; // CSS pixels; a shorter line is a click
const SVG = "http://www.w3.org/2000/svg";

/** A length in words. */
export function lengthInWords(length, spacing) {
  if (!spacing) return `${Math.round(length)} px`;
  return `${length.toFixed(length < 99.95 ? 1 : 0)} mm`;
}

/** What a length rests on; empty where the file says that it is corrected. */
export function caveat(spacing) {
  if (!spacing) return "The file states no pixel spacing: lengths are in pixels of the film.";
  const detector = "Lengths are at the detector, not corrected for magnification: the body is smaller.";
  const unstated = "The file does not say whether its spacing is corrected for magnification: the body may be smaller.";
  return { detector, unstated, calibrated: "" }[spacing.kind];
}

export class Rulers {
  lines = []; // [from, to], shares of the film as read

  clear() {
    this.lines = [];
  }

  begin(point) {
    this.lines = [...this.lines, [point, point]].slice(-MOST);
  }

  extend(point) {
    this.lines.at(-1)[1] = point;
  }

  /** The last line ends; a click leaves none. `zoom`: CSS pixels a film pixel. */
  end(film, zoom) {
    const [from, to] = this.lines.at(-1);
    if (zoom * distance(inPixels(from, film), inPixels(to, film)) < SHORT) this.undo();
  }

  undo() {
    this.lines = this.lines.slice(0, -1);
  }

  /** Each line's length: millimetres with a spacing, else film pixels. */
  lengths(film, spacing) {
    return this.lines.map(([from, to]) => distance(inPixels(from, film), inPixels(to, film), spacing));
  }

  /** Lengths, the ratio of two, and what they rest on, in words. */
  words(film, spacing) {
    if (!this.lines.length) return "";
    const lengths = this.lengths(film, spacing);
    const told = lengths.map((length) => lengthInWords(length, spacing)).join(", ");
    const ratio = lengths.length === 2 ? `; ratio ${(Math.min(...lengths) / Math.max(...lengths)).toFixed(2)}` : "";
    return `Ruler: ${told}${ratio}. ${caveat(spacing)}`;
  }

  /** Draw the lines. `place`, `size`: of the film as shown. */
  draw(svg, film, place, size, orientation, spacing) {
    const at = (point) => {
      const [x, y] = toShown(point, orientation);
      return [place.left + x * size.width * place.zoom, place.top + y * size.height * place.zoom];
    };
    const lengths = this.lengths(film, spacing);
    svg.replaceChildren(
      ...this.lines.flatMap((line, index) => lineOn(...line.map(at), lengthInWords(lengths[index], spacing))),
    );
  }
}

const inPixels = ([x, y], { width, height }) => [x * width, y * height];

function lineOn([x, y], [toX, toY], words) {
  const shape = { x1: x, y1: y, x2: toX, y2: toY };
  const text = drawn("text", { x: Math.max(x, toX) + 6, y: (x > toX ? y : toY) - 6 });
  text.textContent = words;
  return [drawn("line", { ...shape, class: "edge" }), drawn("line", shape), text];
}

function drawn(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
