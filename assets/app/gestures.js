// Mouse, pen and fingers on the film.

import { windowDragged } from "./grey.js";
import { dragged, zoomedTo } from "./viewport.js";

const LENS = 180; // CSS pixels
const LENS_TIMES = 2.5;
const ABOVE_FINGER = 120;

export class Gestures {
  /**
   * @param screen the film on the screen
   * @param changed called when something may be told anew
   */
  constructor(screen, changed) {
    Object.assign(this, { screen, rulers: screen.rulers, changed });
    this.lens = screen.stage.querySelector(".lens");
    this.tool = "move";
    this.fingers = new Map(); // pointer id -> place, while two may pinch
    const { stage } = screen;
    const on = (kind, act, options) => stage.addEventListener(kind, (event) => act.call(this, event), options);
    on("wheel", this.wheel, { passive: false });
    on("pointerdown", this.press);
    on("pointermove", this.move);
    on("pointerup", this.release);
    on("pointercancel", this.release);
    on("pointerleave", this.leave);
    on("dblclick", this.fit);
    on("contextmenu", (event) => event.preventDefault());
    on("dragstart", (event) => event.preventDefault());
    const several = (event) => event.touches.length > 1 && event.cancelable && event.preventDefault();
    on("touchmove", several, { passive: false });
  }

  choose(tool) {
    this.tool = tool;
    this.screen.stage.dataset.tool = tool;
    this.leave();
  }

  wheel(event) {
    const { screen } = this;
    if (event.deltaY > 0 && screen.view === null) return; // all of the film is here: the page scrolls on
    event.preventDefault();
    const pixels = Math.max(-150, Math.min(150, event.deltaY * (event.deltaMode === 1 ? 16 : 1)));
    const rate = event.ctrlKey ? 0.01 : 0.0016; // Ctrl: a touchpad’s pinch
    screen.zoomBy(Math.exp(-pixels * rate), screen.pointOf(event));
  }

  fit(event) {
    if (this.tool === "ruler" || event.target.closest("button")) return;
    if (this.screen.view) this.screen.look(null);
    else this.screen.actualSize(this.screen.pointOf(event));
  }

  action({ button, shiftKey, target, pointerType }) {
    if (button === 2 || (shiftKey && button === 0)) return "window";
    if (button === 1) return "move";
    if (target.closest(".eraser, button")) return null;
    if (target.matches(".sweep") && this.tool === "move") return null;
    return pointerType === "touch" && this.tool === "move" && !this.screen.view ? null : this.tool;
  }

  press(event) {
    const { screen } = this;
    const point = screen.pointOf(event);
    if (event.pointerType === "touch") this.fingers.set(event.pointerId, point);
    if (this.fingers.size === 2 && !event.target.closest(".eraser")) return this.pinch();
    const action = this.fingers.size > 2 ? null : this.action(event);
    if (!action) return;
    event.preventDefault();
    screen.stage.focus({ preventScroll: true });
    screen.stage.setPointerCapture(event.pointerId);
    this.pane = event.target.closest(".pane");
    this.held = { action, point };
    if (action === "ruler") this.rulers.begin(screen.shareAt(point));
    if (action === "lens") this.showLens(event, point);
  }

  pinch() {
    if (this.held?.action === "ruler") this.rulers.undo();
    const [one, other] = [...this.fingers.values()];
    this.held = { action: "pinch", view: this.screen.view, zoom: this.screen.zoom, ...spanOf(one, other) };
  }

  move(event) {
    const { screen, held } = this;
    const point = this.pointNow(event);
    if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, point);
    if (!held) return this.hover(event, point);
    if (held.action === "pinch") return this.movePinch();
    const [across, down] = [point[0] - held.point[0], point[1] - held.point[1]];
    held.point = point;
    if (held.action === "move") screen.look(dragged(screen.view, screen.size, screen.room, across, down));
    if (held.action === "window" && screen.grey) screen.shade(windowDragged(screen.window, across, down, screen.grey));
    if (held.action === "ruler") this.rulers.extend(screen.shareAt(point));
    if (held.action === "lens") this.showLens(event, point);
    this.changed(screen.shareAt(point));
    screen.request();
  }

  // With the pointer captured, the event's target is the stage.
  pointNow(event) {
    const pane = this.held && this.pane;
    return this.screen.pointOf(pane ? { clientX: event.clientX, clientY: event.clientY, target: pane } : event);
  }

  movePinch() {
    const { screen, held, fingers } = this;
    if (fingers.size !== 2) return;
    const { middle, length } = spanOf(...fingers.values());
    const zoom = held.zoom * (length / held.length);
    screen.look(zoomedTo(held.view, screen.size, screen.room, zoom, held.middle, middle));
    this.changed();
  }

  hover(event, point) {
    if (event.pointerType === "touch") return;
    if (this.tool === "lens" && !event.target.closest(".eraser")) this.showLens(event, point);
    this.changed(this.screen.shareAt(point));
  }

  release(event) {
    const { held, screen, rulers } = this;
    this.fingers.delete(event.pointerId);
    if (held?.action === "ruler") rulers.end(screen.film, screen.zoom);
    if (event.pointerType === "touch") this.leave();
    this.held = this.pane = null;
    this.changed();
    screen.request();
  }

  leave() {
    this.lens.hidden = true;
    this.changed(null);
  }

  showLens(event, [x, y]) {
    const { lens, screen } = this;
    if (!screen.levels || !screen.words) return;
    screen.magnify(lens, [x, y], LENS, LENS_TIMES);
    const up = event.pointerType === "touch" ? ABOVE_FINGER : 0;
    const { offsetLeft, offsetTop } = this.pane || event.target.closest(".pane") || screen.pane;
    lens.style.transform = `translate(${offsetLeft + x - LENS / 2}px, ${offsetTop + y - up - LENS / 2}px)`;
    lens.style.width = lens.style.height = LENS + "px";
    lens.hidden = false;
  }
}

function spanOf([x, y], [toX, toY]) {
  return { middle: [(x + toX) / 2, (y + toY) / 2], length: Math.max(1, Math.hypot(toX - x, toY - y)) };
}
