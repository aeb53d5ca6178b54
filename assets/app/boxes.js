// A box on a film, [left, top, right, bottom] in shares of it, and how it is drawn: by dragging, by touch, or with the
// arrow keys and Enter.

import { directionRead } from "./viewport.js";

const LEAST = 0.01; // of the film's width and height: a smaller box is a slip
const STEP = 0.02; // of the film, an arrow key

/** The box between two corners, held on the film. */
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

export class BoxTool {
  /**
   * @param layer over the film and as large as it (class "eraser"); hidden while nothing is drawn
   * @param screen the film on the screen
   * @param draw called with the box as it changes
   * @param end called with the box, or with null where drawing was given up
   */
  constructor(layer, screen, draw, end) {
    Object.assign(this, { layer, screen, draw, end, corner: null });
    const on = (kind, act) => layer.addEventListener(kind, act);
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.corner && this.show(boxBetween(this.corner, this.at(event))));
    on("pointerup", (event) => this.corner && this.release(event));
    on("pointercancel", () => this.corner && this.show(this.first));
    on("keydown", (event) => this.key(event));
  }

  get isDrawing() {
    return !this.layer.hidden;
  }

  /** Let the visitor draw, from this box on. */
  begin(box) {
    this.first = box;
    this.show(box);
    this.layer.hidden = false;
    this.screen.stage.scrollIntoView({ block: "nearest" });
    this.layer.focus({ preventScroll: true });
  }

  show(box) {
    this.box = box;
    this.draw(box);
  }

  finish(box) {
    this.corner = null;
    this.layer.hidden = true;
    this.end(box);
  }

  at({ clientX, clientY }) {
    return this.screen.shareAt(this.screen.pointOf({ clientX, clientY }));
  }

  press(event) {
    if (!event.isPrimary || event.button || event.shiftKey) return;
    event.preventDefault();
    this.layer.setPointerCapture(event.pointerId);
    this.corner = this.at(event);
  }

  release(event) {
    const box = boxBetween(this.corner, this.at(event));
    this.corner = null;
    if (Math.min(box[2] - box[0], box[3] - box[1]) >= LEAST) this.finish(box);
    else this.show(this.first);
  }

  key(event) {
    const arrows = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    if (event.key in arrows) {
      const step = directionRead(...arrows[event.key], this.screen.orientation);
      this.show(nudged(this.box, ...step, event.shiftKey));
    } else if (event.key === "Enter") this.finish(this.box);
    else if (event.key === "Escape") this.finish(null);
    else return;
    event.preventDefault();
  }
}
