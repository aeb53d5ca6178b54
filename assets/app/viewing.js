// How the visitor looks at the film: tools, window, orientation, keys. None of it changes the answer until asked to.

import { make } from "./dom.js";
import { Gestures } from "./gestures.js";
import { windowDragged } from "./grey.js";
import { actionOf, GESTURES, KEYS } from "./keys.js";
import { caveat, Rulers } from "./rulers.js";
import { rounded, Screen } from "./screen.js";
import { dragged, isAsRead, mirrored, turned } from "./viewport.js";

const NO_UNITS =
  "A radiograph has no Hounsfield units: lung and bone are ranges of this film’s own grey values, from dark to bright.";
const PRESETS = [
  ["stored", "As stored", "The window that the file names, else its whole scale: what the model read."],
  ["auto", "Automatic", "From the 1st to the 99th percentile of this film’s grey values."],
  ["lung", "Lung", `From the 2nd to the 55th percentile. ${NO_UNITS}`],
  ["bone", "Bone", `From the 40th to the 99.5th percentile. ${NO_UNITS}`],
  ["full", "Full range", "From this film’s lowest to its highest value."],
];
const ZOOM_STEP = 1.25;
const KEY_PIXELS = 40; // an arrow key on the film
const SHOWN_BY_BROWSERS = /^image[/](png|jpeg|webp|bmp)$/;

/** What the file says of the film and is no patient's, in words. */
export function fileFacts({ view, age_years: age, spacing }) {
  const facts = [];
  if (view) facts.push(`View ${view}`);
  if (age !== null) facts.push(age >= 90 ? "age 90 or more" : age < 1 ? "age under 1" : `age ${age}`);
  if (spacing) {
    const [down, across] = [spacing.row_mm, spacing.column_mm].map((mm) => String(Number(mm.toPrecision(3))));
    const kinds = { detector: "at the detector, not corrected for magnification", unstated: "correction not stated" };
    const kind = kinds[spacing.kind] || "corrected for magnification, as the file says";
    facts.push(`${down === across ? down : `${down} × ${across}`} mm a pixel (${kind})`);
  } else facts.push("no pixel spacing in the file");
  return facts.join(" · ");
}

/** How what is shown differs from what was read; empty where it does not. */
export function orientationInWords({ turn, mirror }, inverted) {
  const turns = ["", "turned by 90° to the left", "turned by 180°", "turned by 90° to the right"][turn];
  return [turns, mirror && "mirrored", inverted && "inverted"].filter(Boolean).join(", ");
}

export class Viewing {
  constructor(page) {
    this.page = page;
    page.screen = this.screen = new Screen(page);
    this.rulers = new Rulers(page);
    this.gestures = new Gestures(page, this.screen, this.rulers, (share) => this.tell(share));
    this.share = null; // of the film, under the pointer
    this.screen.drawn = (place) => this.drawMarks(place);
    this.actions = this.allActions();
    this.fillMenus();
    this.listen();
  }

  allActions() {
    const { page, screen, gestures } = this;
    const press = (name) => page.part(name).click();
    const look = (view) => page.root.querySelector(`[name="cxr-view"][value="${view}"]`).click();
    const isShown = (view) => screen.stage.dataset.view === view;
    const presets = PRESETS.map(([name]) => [name, () => this.choosePreset(name)]);
    const tools = ["move", "window", "ruler", "lens"].map((tool) => [tool, () => this.chooseTool(tool)]);
    return {
      ...Object.fromEntries([...presets, ...tools]),
      "zoomIn": () => gestures.zoomBy(ZOOM_STEP),
      "zoomOut": () => gestures.zoomBy(1 / ZOOM_STEP),
      "fit": () => screen.look(null),
      "actual": () => gestures.actualSize(),
      "invert": () => this.invert(),
      "turn": () => this.orient(turned(screen.orientation, -1)),
      "mirror": () => this.orient(mirrored(screen.orientation)),
      "analyse": () => page.part("as-shown").hidden || this.analyse(),
      "undo": () => this.remove(() => this.rulers.undo()),
      "overlay": () => look(isShown("film") ? "overlay" : "film"),
      "side": () => look(isShown("side") ? "overlay" : "side"),
      "slider": () => look(isShown("slider") ? "overlay" : "slider"),
      "boxes": () => press("show-boxes"),
      "erase": () => press("erase"),
      "next": () => this.step(1),
      "before": () => this.step(-1),
      "full screen": () => this.fill(!page.part("film").classList.contains("full")),
      "card": () => this.toggleCard(),
    };
  }

  fillMenus() {
    const { page } = this;
    const options = PRESETS.map(([value, words, title]) => make("option", { value, title }, words));
    page.part("window").replaceChildren(...options, make("option", { value: "own", hidden: true }, "Own window"));
    const row = (key, words) => make("li", {}, make("kbd", {}, key), make("span", {}, words));
    page.part("key-list").replaceChildren(...KEYS.map(([, key, words]) => row(key, words)));
    page.part("gesture-list").replaceChildren(...GESTURES.map((pair) => row(...pair)));
  }

  listen() {
    const { page, screen } = this;
    page.part("window").addEventListener("change", (event) => this.choosePreset(event.target.value));
    page.part("tools").addEventListener("change", (event) => this.chooseTool(event.target.value));
    page.part("analyse-as-shown").addEventListener("click", () => this.analyse());
    page.part("as-read").addEventListener("click", () => this.reset());
    page.part("views").addEventListener("change", () => screen.request());
    page.part("close-keys").addEventListener("click", () => page.part("keys").close());
    for (const button of page.root.querySelectorAll("[data-act]")) {
      button.addEventListener("click", () => this.actions[button.dataset.act]());
    }
    document.addEventListener("keydown", (event) => this.press(event));
    document.addEventListener("fullscreenchange", () => document.fullscreenElement || this.fill(false));
    document.addEventListener("change", (event) => this.previewFile(event), true);
    new MutationObserver(() => this.previewBefore()).observe(page.root, { attributeFilter: ["data-state"] });
  }

  /** A result is here: of another film, or of the same by another model. */
  async show(token) {
    const { page, screen } = this;
    if (page.token !== token) return;
    const { width, height } = page.result.report.film;
    if (this.film === page.film) return screen.orient(screen.orientation); // the result set the film's own ratio
    const film = (this.film = page.film);
    screen.forget();
    screen.film = { width, height };
    this.rulers.clear();
    screen.look(null);
    screen.orient(screen.orientation);
    this.showState();
    page.part("file-facts").textContent = "";
    const payload = await page.call("values", token);
    if (this.film !== film || payload.kind === "error") return;
    page.part("file-facts").textContent = fileFacts(payload.facts);
    await screen.receive(payload);
    this.showState();
  }

  choosePreset(name) {
    const { screen } = this;
    if (!screen.presets?.[name]) return;
    screen.shade(screen.presets[name]);
    this.showState();
  }

  chooseTool(tool) {
    this.gestures.choose(tool);
    this.page.root.querySelector(`[name="cxr-tool"][value="${tool}"]`).checked = true;
  }

  invert() {
    const { screen } = this;
    if (!screen.grey) return;
    screen.shade(screen.window, !screen.inverted);
    this.showState();
  }

  orient(orientation) {
    this.screen.orient(orientation);
    this.screen.look(null);
    this.showState();
  }

  /** As the model read it. */
  reset() {
    const { screen } = this;
    if (screen.grey) screen.shade(screen.presets.stored, false);
    this.orient({ turn: 0, mirror: false });
    screen.stage.focus({ preventScroll: true });
  }

  remove(change) {
    change();
    this.screen.request();
    this.tell();
  }

  step(by) {
    const rows = [...this.page.part("findings").querySelectorAll(".finding")];
    const at = rows.findIndex((row) => row.classList.contains("chosen"));
    rows[(at + by + rows.length) % rows.length]?.querySelector("input").click();
  }

  /** Read the film again as it is shown; the window is for the eye alone. */
  analyse() {
    const { page, screen } = this;
    const { turn, mirror } = screen.orientation;
    const words = orientationInWords(screen.orientation, screen.inverted);
    page.correcting = [page.film.corrected, words].filter(Boolean).join(", then ");
    page.enter("reading", "Reading the film as shown");
    const wanted = { turn, mirror, invert: screen.inverted };
    const fields = Object.fromEntries(Object.entries(wanted).map(([name, value]) => [name, String(value)]));
    page.trigger("ask_model", { model: page.about.name, token: page.token, ...fields });
    page.token = null;
  }

  // What differs from the film as read, the window's name, and what a ruler would tell.
  showState() {
    const { page, screen } = this;
    const words = orientationInWords(screen.orientation, screen.inverted);
    page.part("as-shown").hidden = isAsRead(screen.orientation) && !screen.inverted;
    page.part("as-shown-words").textContent = `For viewing ${words}. The answer holds for the film as it was read.`;
    const menu = page.part("window");
    menu.disabled = !screen.grey;
    const named = Object.entries(screen.presets || {}).find(([, window]) => sameWindow(window, screen.window));
    menu.value = !screen.grey ? "stored" : named ? named[0] : "own";
    menu.title = PRESETS.find(([name]) => name === menu.value)?.[2] || "A window of your own.";
    for (const [name, on] of [["mirror", screen.orientation.mirror], ["invert", screen.inverted]]) {
      page.root.querySelector(`[data-act="${name}"]`).setAttribute("aria-pressed", String(on));
    }
    this.filterFill();
    this.tell();
  }

  // What fills an erased region is a picture of the film as stored; a filter gives it the visitor's window.
  filterFill() {
    const { grey, window, inverted } = this.screen;
    if (!grey) return;
    const stored = grey.window;
    let slope = stored.width / window.width;
    let intercept = 0.5 + (stored.center - window.center) / window.width - slope / 2;
    if (grey.inverted) intercept = 1 - slope - intercept;
    if (inverted) [slope, intercept] = [-slope, 1 - intercept];
    for (const node of this.page.root.querySelectorAll("#cxr-window [slope]")) {
      node.setAttribute("slope", slope);
      node.setAttribute("intercept", intercept);
    }
  }

  /** Zoom, window, the value under the pointer, and lengths. */
  tell(share = this.share) {
    const { page, screen, rulers } = this;
    this.share = share;
    const { grey, window, facts } = screen;
    if (this.told !== window) {
      this.told = window;
      this.showState();
    }
    const zoom = Math.round(100 * screen.zoom * screen.ratio);
    page.part("zoom").textContent = `${zoom}\u00a0%`;
    const words = [];
    if (grey) words.push(`W ${rounded(window.width)}`, `L ${rounded(window.center)}`);
    const value = share && screen.valueAt(share);
    if (value !== null) words.push(`value ${rounded(value)}`);
    page.part("pointer").textContent = words.join(" · ");
    const lengths = rulers.words(screen.film, facts?.spacing);
    const how = () => `Drag along what you want to measure. ${caveat(facts.spacing)}`;
    page.part("lengths").textContent = lengths || (this.gestures.tool === "ruler" && facts ? how() : "");
    page.part("lengths").hidden = !page.part("lengths").textContent;
  }

  drawMarks(place) {
    const { page, screen, rulers } = this;
    const { film, size, orientation, facts, bar } = screen;
    rulers.draw(page.part("rulers"), film, place, size, orientation, facts?.spacing);
    page.part("scale-bar").hidden = !bar;
    if (bar) {
      page.part("scale-bar").style.width = bar.length + "px";
      page.part("scale-bar").textContent = bar.mm >= 10 ? `${bar.mm / 10} cm` : `${bar.mm} mm`;
    }
    this.tell();
  }

  press(event) {
    const { page } = this;
    if (page.root.dataset.state !== "result" || page.root.dataset.mode !== "film") return;
    if (page.part("keys").open) return event.key === "?" && page.part("keys").close();
    if (event.key === "Escape") return this.escape(event);
    if (event.target === this.screen.stage && event.key.startsWith("Arrow")) return this.arrow(event);
    const action = actionOf(event);
    if (!action || (!page.part("keys-on").checked && action !== "card")) return;
    event.preventDefault();
    this.actions[action]();
  }

  arrow(event) {
    const { screen } = this;
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step || (!screen.view && !event.shiftKey)) return; // the whole film is here: the page scrolls
    event.preventDefault();
    const [across, down] = step.map((way) => way * KEY_PIXELS);
    if (!event.shiftKey) screen.look(dragged(screen.view, screen.size, screen.room, -across, -down));
    else if (screen.grey) screen.shade(windowDragged(screen.window, across / 2, down / 2, screen.grey));
  }

  escape(event) {
    if (event.target.closest(".eraser")) return; // it ends the erasing
    if (this.page.part("film").classList.contains("full")) this.fill(false);
    else this.remove(() => this.rulers.clear());
  }

  /** The film alone, on the whole screen where the browser can, else on the whole page. */
  fill(wanted) {
    const { page } = this;
    page.part("film").classList.toggle("full", wanted);
    page.root.querySelector('[data-act="full screen"]').setAttribute("aria-pressed", String(wanted));
    if (wanted) document.documentElement.requestFullscreen?.().catch(() => {});
    else if (document.fullscreenElement) document.exitFullscreen();
    this.gestures.leave();
    this.screen.look(null);
  }

  toggleCard() {
    const card = this.page.part("keys");
    if (card.open) card.close();
    else card.showModal();
  }

  // A film of a kind that browsers draw is on the screen before the server has it.
  previewFile({ target }) {
    const file = target.type === "file" && target.closest("#film-upload") && target.files[0];
    if (!file || !SHOWN_BY_BROWSERS.test(file.type)) return;
    this.preview(URL.createObjectURL(file));
  }

  preview(address) {
    const picture = this.page.part("preview");
    picture.src = address;
    picture.hidden = false;
  }

  /** The server has read the film and is asking the model. */
  async previewRead(token) {
    if (!this.page.part("preview").hidden) return;
    const picture = await this.page.server.picture(token).catch(() => "");
    if (picture && this.page.root.dataset.state === "reading") this.preview(picture);
  }

  // Between two readings of one film it stays in sight; between two films nothing does.
  previewBefore() {
    const { page } = this;
    const picture = page.part("preview");
    if (page.root.dataset.state === "reading") {
      if (page.result && picture.hidden) this.preview(page.part("image").src);
      return;
    }
    if (picture.src.startsWith("blob:")) URL.revokeObjectURL(picture.src);
    picture.hidden = true;
    picture.removeAttribute("src");
  }
}

const sameWindow = (one, other) =>
  other && one.center === other.center && one.width === other.width && one.function === other.function;
