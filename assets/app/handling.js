// How films on the screen are handled: a row of tools, window, zoom, rulers, magnifier; by mouse, touch and keys.
// Several films under one row of tools keep in step.

import { make } from "./dom.js";
import { Gestures } from "./gestures.js";
import { windowDragged, windowLike } from "./grey.js";
import { actionOf, GESTURES, KEYS } from "./keys.js";
import { caveat } from "./rulers.js";
import { rounded, Screen } from "./screen.js";
import { dragged, viewLike } from "./viewport.js";

const NO_UNITS =
  "A radiograph has no Hounsfield units: lung and bone are ranges of this film’s own grey values, from dark to bright.";
const PRESETS = [
  ["stored", "As stored", "The window that the file names, else its whole scale: what the model read."],
  ["auto", "Automatic", "From the 1st to the 99th percentile of this film’s grey values."],
  ["lung", "Lung", `From the 2nd to the 55th percentile. ${NO_UNITS}`],
  ["bone", "Bone", `From the 40th to the 99.5th percentile. ${NO_UNITS}`],
  ["full", "Full range", "From this film’s lowest to its highest value."],
];
const TOOLS = ["move", "window", "ruler", "lens"];
const ZOOM_STEP = 1.25;
const KEY_PIXELS = 40; // an arrow key on the film

export class Handling {
  /**
   * @param page
   * @param place holds the stages of the films, a row of tools, and what is told of them; an empty row of tools becomes
   *   a copy of the viewer's own, without what this handling has no action for
   * @param keys where keys are listened for
   */
  constructor(page, place, keys = place) {
    Object.assign(this, { page, place, preset: "stored" });
    this.screens = [...place.querySelectorAll(".stage")].map((stage) => new Screen(stage));
    this.screen = this.screens.at(-1); // told of while the pointer is on none
    this.pointed = [null, this.screen]; // a share of a film, under the pointer
    const tell = (screen, share = this.pointed[0]) => this.tell(share ? [share, screen] : [null, this.screen]);
    this.gestures = this.screens.map((screen) => new Gestures(screen, (share) => tell(screen, share)));
    for (const screen of this.screens) {
      screen.drawn = () => screen === this.screen && this.tell();
      screen.changed = () => this.follow(screen);
    }
    this.actions = this.allActions();
    this.fillTools();
    keys.addEventListener("keydown", (event) => this.press(event));
  }

  find(selector) {
    return this.place.querySelector(selector);
  }

  allActions() {
    const { screen } = this;
    const presets = PRESETS.map(([name]) => [name, () => this.choosePreset(name)]);
    return {
      ...Object.fromEntries([...presets, ...TOOLS.map((tool) => [tool, () => this.chooseTool(tool)])]),
      zoomIn: () => screen.zoomBy(ZOOM_STEP),
      zoomOut: () => screen.zoomBy(1 / ZOOM_STEP),
      fit: () => screen.look(null),
      actual: () => screen.actualSize(),
      invert: () => this.invert(),
      undo: () => this.measure((rulers) => rulers.undo()),
      card: () => this.toggleCard(),
    };
  }

  fillTools() {
    const tools = this.find(".tools");
    if (!tools.children.length) {
      const copy = this.page.root.querySelector(".tools").cloneNode(true);
      for (const node of copy.querySelectorAll("[data-part]")) node.removeAttribute("data-part");
      for (const node of copy.querySelectorAll("input")) node.name = `cxr-tool-${this.place.dataset.part}`;
      for (const node of copy.querySelectorAll("[data-act]")) node.dataset.act in this.actions || node.remove();
      tools.append(...copy.childNodes);
    }
    const options = PRESETS.map(([value, words, title]) => make("option", { value, title }, words));
    const menu = this.find(".tools select");
    menu.replaceChildren(...options, make("option", { value: "own", hidden: true }, "Own window"));
    menu.addEventListener("change", () => this.choosePreset(menu.value));
    this.find(".tools fieldset").addEventListener("change", (event) => this.chooseTool(event.target.value));
    for (const button of this.place.querySelectorAll("[data-act]")) {
      button.addEventListener("click", () => this.actions[button.dataset.act]());
    }
  }

  /** Another film, as large as it was read: the whole of it, without its values yet. */
  begin(screen, { width, height }) {
    this.preset = "stored";
    screen.forget();
    screen.film = { width, height };
    screen.look(null);
    screen.orient(screen.orientation);
    this.showState();
  }

  // What changes on one film changes on the others: the part in sight, and the window against the one chosen by name.
  follow(from) {
    if (this.following) return;
    this.following = true;
    for (const to of this.screens.filter((screen) => screen !== from)) {
      to.look(viewLike(from.view, from.size, from.room, to.size, to.room));
      if (!from.grey || !to.grey) continue;
      const [base, other] = [from, to].map(({ presets }) => presets[this.preset]);
      to.shade(windowLike(from.window, base, other, from.grey.inverted !== to.grey.inverted), from.inverted);
    }
    this.following = false;
  }

  choosePreset(name) {
    const screen = this.screens.findLast(({ presets }) => presets);
    if (!screen) return;
    this.preset = name;
    screen.shade(screen.presets[name]);
    this.showState();
  }

  chooseTool(tool) {
    for (const one of this.gestures) one.choose(tool);
    this.find(`.tools [value="${tool}"]`).checked = true;
  }

  invert() {
    const screen = this.screens.findLast(({ grey }) => grey);
    if (!screen) return;
    screen.shade(screen.window, !screen.inverted);
    this.showState();
  }

  /** Take lines away. */
  measure(change) {
    for (const screen of this.screens) {
      change(screen.rulers);
      screen.request();
    }
    this.tell();
  }

  /** The window's name, and whether black and white are exchanged. */
  showState() {
    const { presets, window, inverted } = this.screen;
    const menu = this.find(".tools select");
    menu.disabled = !presets;
    const named = Object.entries(presets || {}).find(([, preset]) => sameWindow(preset, window));
    menu.value = !presets ? "stored" : named ? named[0] : "own";
    menu.title = PRESETS.find(([name]) => name === menu.value)?.[2] || "A window of your own.";
    this.find('[data-act="invert"]').setAttribute("aria-pressed", String(inverted));
    this.tell();
  }

  /** Zoom, window, the value under the pointer, and lengths. */
  tell(pointed = this.pointed) {
    const [share, screen] = (this.pointed = pointed);
    if (this.told !== this.screen.window) {
      this.told = this.screen.window;
      this.showState();
    }
    const { grey, window, facts, rulers } = screen;
    const zoom = Math.round(100 * this.screen.zoom * this.screen.ratio);
    this.find(".tools output").textContent = `${zoom}\u00a0%`;
    const whose = this.screens.length > 1 ? [screen.picture.alt] : [];
    const words = grey ? [...whose, `W ${rounded(window.width)}`, `L ${rounded(window.center)}`] : [];
    const value = share && screen.valueAt(share);
    if (value !== null) words.push(`value ${rounded(value)}`);
    this.find(".pointer").textContent = words.join(" · ");
    const how = () => `Drag along what you want to measure. ${caveat(facts.spacing)}`;
    const waiting = () => (this.gestures[0].tool === "ruler" && facts ? how() : "");
    const lengths = this.find(".lengths");
    lengths.textContent = rulers.words(screen.film, facts?.spacing) || waiting();
    lengths.hidden = !lengths.textContent;
  }

  /** Whether keys are for these films now. */
  get takesKeys() {
    return true;
  }

  press(event) {
    if (event.defaultPrevented || !this.takesKeys) return;
    const { page } = this;
    if (page.part("keys").open) return event.key === "?" && page.part("keys").close();
    if (event.key === "Escape") return this.escape();
    const screen = this.screens.find(({ stage }) => stage === event.target);
    if (screen && event.key.startsWith("Arrow")) return this.arrow(event, screen);
    const action = actionOf(event);
    if (!this.actions[action] || (!page.part("keys-on").checked && action !== "card")) return;
    event.preventDefault();
    this.actions[action]();
  }

  arrow(event, screen) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step || (!screen.view && !event.shiftKey)) return; // the whole film is here: the page scrolls
    event.preventDefault();
    const [across, down] = step.map((way) => way * KEY_PIXELS);
    if (!event.shiftKey) screen.look(dragged(screen.view, screen.size, screen.room, -across, -down));
    else if (screen.grey) screen.shade(windowDragged(screen.window, across / 2, down / 2, screen.grey));
  }

  escape() {
    this.measure((rulers) => rulers.clear());
  }

  /** The keys that do something here. */
  toggleCard() {
    const { page } = this;
    const row = (key, words) => make("li", {}, make("kbd", {}, key), make("span", {}, words));
    const keys = KEYS.filter(([, , , action]) => this.actions[action]);
    page.part("key-list").replaceChildren(...keys.map(([, key, words]) => row(key, words)));
    page.part("gesture-list").replaceChildren(...GESTURES.map((pair) => row(...pair)));
    page.part("keys").showModal();
  }
}

const sameWindow = (one, other) =>
  other && one.center === other.center && one.width === other.width && one.function === other.function;
