// How the one film is looked at: orientation, heatmap, full screen. None of it changes the answer until asked to.

import { Handling } from "./handling.js";
import { isAsRead, mirrored, turned } from "./viewport.js";

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

export class Viewing extends Handling {
  constructor(page) {
    super(page, page.part("film"), document);
    page.screen = this.screen;
    this.listen();
  }

  allActions() {
    const { page, screen } = this;
    const press = (name) => page.part(name).click();
    const look = (view) => page.root.querySelector(`[name="cxr-view"][value="${view}"]`).click();
    const isShown = (view) => screen.stage.dataset.view === view;
    return {
      ...super.allActions(),
      "turn": () => this.orient(turned(screen.orientation, -1)),
      "mirror": () => this.orient(mirrored(screen.orientation)),
      "analyse": () => page.part("as-shown").hidden || this.analyse(),
      "overlay": () => look(isShown("film") ? "overlay" : "film"),
      "side": () => look(isShown("side") ? "overlay" : "side"),
      "slider": () => look(isShown("slider") ? "overlay" : "slider"),
      "boxes": () => press("show-boxes"),
      "erase": () => press("erase"),
      "next": () => this.step(1),
      "before": () => this.step(-1),
      "full screen": () => this.fill(!page.part("film").classList.contains("full")),
    };
  }

  listen() {
    const { page, screen } = this;
    page.part("analyse-as-shown").addEventListener("click", () => this.analyse());
    page.part("as-read").addEventListener("click", () => this.reset());
    page.part("views").addEventListener("change", () => screen.request());
    page.part("close-keys").addEventListener("click", () => page.part("keys").close());
    document.addEventListener("fullscreenchange", () => document.fullscreenElement || this.fill(false));
    document.addEventListener("change", (event) => this.previewFile(event), true);
    new MutationObserver(() => this.previewBefore()).observe(page.root, { attributeFilter: ["data-state"] });
  }

  /** A result is here: of another film, or of the same by another model. */
  show(token) {
    const { page, screen } = this;
    if (page.token !== token) return;
    if (this.film === page.film) return screen.orient(screen.orientation); // the result set the film's own ratio
    screen.arrived = this.receive(token);
  }

  async receive(token) {
    const { page, screen } = this;
    const { width, height } = page.result.report.film;
    const film = (this.film = page.film);
    this.begin(screen, { width, height });
    page.part("file-facts").textContent = "";
    const payload = await page.call("values", token);
    if (this.film !== film || payload.kind === "error") return;
    page.part("file-facts").textContent = fileFacts(payload.facts);
    await screen.receive(payload);
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

  // What differs from the film as read, too.
  showState() {
    const { page, screen } = this;
    const words = orientationInWords(screen.orientation, screen.inverted);
    page.part("as-shown").hidden = isAsRead(screen.orientation) && !screen.inverted;
    page.part("as-shown-words").textContent = `For viewing ${words}. The answer holds for the film as it was read.`;
    this.find('[data-act="mirror"]').setAttribute("aria-pressed", String(screen.orientation.mirror));
    this.filterFill();
    super.showState();
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

  get takesKeys() {
    const { state, mode } = this.page.root.dataset;
    return state === "result" && mode === "film";
  }

  escape() {
    if (this.page.part("film").classList.contains("full")) this.fill(false);
    else super.escape();
  }

  /** The film alone, on the whole screen where the browser can, else on the whole page. */
  fill(wanted) {
    const { page } = this;
    page.part("film").classList.toggle("full", wanted);
    page.root.querySelector('[data-act="full screen"]').setAttribute("aria-pressed", String(wanted));
    if (wanted) document.documentElement.requestFullscreen?.().catch(() => {});
    else if (document.fullscreenElement) document.exitFullscreen();
    this.gestures[0].leave();
    this.screen.look(null);
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
