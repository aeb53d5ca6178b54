// A prior film beside the one on the screen: one zoom, window and finding for both, and each finding's difference.

import { make } from "./dom.js";
import { isNoBetterThanNoise, localisationOf } from "./located.js";
import { BLUES, canvasWords, colourMap, strongest } from "./maps.js";
import { findingOf, listed, nothing, percent, sentence } from "./words.js";

const MOST_ZOOM = 8;
const BLUE_COVER = 0.6; // as in heatmap.js
const MAX_SIDE = 512; // pixels of a map's canvas
const STEP = 0.1; // of the view, an arrow key

/** How both films are shown: a zoom, an offset in shares of the view, and a window in shares of the grey values. */
export const FITTED = { scale: 1, x: 0, y: 0, centre: 0.5, width: 1 };

const between = (low, value, high) => Math.min(high, Math.max(low, value));

/** The state with its film held in the view. */
export function held(state) {
  const least = 1 - state.scale;
  return { ...state, x: between(least, state.x, 0), y: between(least, state.y, 0) };
}

/** Zoomed by a factor, from 1 to 8, around a point of the view that stays where it is. */
export function zoomed(state, factor, [u, v] = [0.5, 0.5]) {
  const scale = between(1, state.scale * factor, MOST_ZOOM);
  const grown = scale / state.scale;
  return held({ ...state, scale, x: u - (u - state.x) * grown, y: v - (v - state.y) * grown });
}

/** Moved by shares of the view. */
export const panned = (state, u, v) => held({ ...state, x: state.x + u, y: state.y + v });

/** The window as a line: grey value out = slope * in + intercept, held in [0, 1]. */
export const windowLine = ({ centre, width }) => ({ slope: 1 / width, intercept: 0.5 - centre / width });

/** 0.053 -> "+5.3 points". */
export const points = (difference) => `${difference < 0 ? "−" : "+"}${Math.abs(100 * difference).toFixed(1)} points`;

/** Which findings differ by more than shaking either film gives, in one sentence. */
export function changesInWords(about, changes) {
  const moved = about.findings.filter(({ name, normal }) => changes[name].beyond && !(about.binary && normal));
  if (!moved.length) return "Every difference is within what shaking the film gives.";
  const word = ({ title, name }) => `${title.toLowerCase()} (${changes[name].difference > 0 ? "higher" : "lower"} now)`;
  return `Beyond what shaking the film gives: ${listed(moved.map(word))}. The rest is within it.`;
}

export class Prior {
  constructor(page) {
    this.page = page;
    this.state = FITTED;
    this.colours = canvasWords(page.start.colours);
    this.blues = canvasWords(BLUES, BLUE_COVER);
    this.listen();
  }

  get input() {
    return document.querySelector("#prior-upload input[type=file]");
  }

  get panes() {
    return [...this.page.part("prior-panes").children];
  }

  listen() {
    const { page } = this;
    const on = (name, kind, act) => page.part(name).addEventListener(kind, act);
    on("prior-choose", "click", () => this.input?.click());
    on("prior-remove", "click", () => this.forget());
    on("prior-centre", "input", ({ target }) => this.follow({ ...this.state, centre: target.value / 100 }));
    on("prior-width", "input", ({ target }) => this.follow({ ...this.state, width: target.value / 100 }));
    on("prior-map", "change", () => this.draw());
    on("prior-fit", "click", () => this.fit());
    on("findings", "change", () => this.choose());
    document.addEventListener("change", (event) => this.check(event), true);
    page.root.addEventListener("letgo", () => this.forget());
    for (const pane of this.panes) watchView(pane.querySelector(".view"), this);
  }

  // Before Gradio sees the file.
  check(event) {
    const file = event.target.type === "file" && event.target.closest("#prior-upload") && event.target.files[0];
    if (!file) return;
    const most = this.page.start.max_bytes;
    if (file.size > most) {
      event.stopImmediatePropagation();
      event.target.value = "";
      this.say(`This file has ${Math.round(file.size / 1e6)} MB; the most that is read is ${most / 1e6} MB.`);
      return;
    }
    this.name = file.name;
    this.say("Reading " + file.name);
  }

  say(words) {
    this.page.part("prior-status").textContent = words;
  }

  /** The prior film is on the server; it replaces the one before. */
  receive({ token }) {
    const { page } = this;
    if (this.token) page.server.forget(this.token);
    if (!page.token) return void page.server.forget(token);
    this.token = token;
    this.state = FITTED;
    this.ask();
  }

  refuse({ message }) {
    this.say(sentence(message));
  }

  /** Another result, perhaps of another model: the prior film is read again. */
  show() {
    if (this.token && this.page.token) this.ask();
  }

  async ask() {
    const { page, token: prior } = this;
    const { token, about } = page;
    page.part("prior-panel").hidden = true;
    page.notice("prior-gate", "");
    this.say("Reading both films, each in ten ways.");
    const [answer, ...pictures] = await Promise.all([
      page.call("compare_prior", { token, prior, model: about.name }),
      ...[prior, token].map((one) => page.server.picture(one).catch(() => "")),
    ]);
    if (token !== page.token || prior !== this.token) return;
    this.say(answer.kind === "error" ? sentence(answer.message) : "");
    page.part("prior-remove").hidden = false;
    if (answer.kind === "error") return;
    this.answer = answer;
    const images = this.panes.map((pane) => pane.querySelector("img"));
    images.forEach((image, at) => (image.src = pictures[at]));
    await Promise.all(images.map((image) => image.decode().catch(() => {})));
    const { gate } = answer.report;
    const refused = "The input gate refuses the prior film, so its numbers may mean nothing: ";
    const begin = gate.accepted === false ? refused : "About the prior film: ";
    page.notice("prior-gate", gate.sentences.length && begin + gate.sentences.join(" "));
    page.part("prior-panel").hidden = false;
    page.part("prior-said").textContent = changesInWords(about, answer.changes);
    this.fill();
    this.follow(this.state);
    this.draw();
  }

  forget() {
    const { page } = this;
    if (this.token) page.server.forget(this.token);
    Object.assign(this, { token: null, answer: null });
    for (const name of ["prior-panel", "prior-remove"]) page.part(name).hidden = true;
    for (const pane of this.panes) pane.querySelector("img").removeAttribute("src");
    page.notice("prior-gate", "");
    this.say("");
  }

  fit() {
    this.page.part("prior-centre").value = 50;
    this.page.part("prior-width").value = 100;
    this.follow(FITTED);
  }

  /** Show both films in one state. */
  follow(state) {
    this.state = state;
    const { scale, x, y } = state;
    const { slope, intercept } = windowLine(state);
    for (const pane of this.panes) {
      pane.querySelector(".sheet").style.transform = `translate(${100 * x}%, ${100 * y}%) scale(${scale})`;
    }
    for (const line of this.page.part("prior-panel").querySelectorAll("filter [type]")) {
      line.setAttribute("slope", slope);
      line.setAttribute("intercept", intercept);
    }
  }

  /** The maps of the page's finding on both films, in one colour scale. */
  draw() {
    const { page } = this;
    const { finding, about } = page;
    const maps = [this.answer.maps[finding], page.maps.gradcam[finding]];
    const ceiling = Math.max(...maps.map(strongest));
    page.part("prior-panes").dataset.faint = isNoBetterThanNoise(localisationOf(about, finding));
    const reports = [this.answer.report, page.result.report];
    this.panes.forEach((pane, at) => {
      const quiet = maps[at].evidence === false;
      const image = pane.querySelector("img");
      const shrink = Math.max(1, Math.max(image.naturalWidth, image.naturalHeight) / MAX_SIDE);
      const [width, height] = [image.naturalWidth, image.naturalHeight].map((side) => Math.round(side / shrink));
      const canvas = pane.querySelector("canvas");
      Object.assign(canvas, { width, height });
      if (page.part("prior-map").checked && !quiet) {
        const against = maps[at].scale === "logit" ? this.blues : null;
        const words = colourMap({ ...maps[at], ceiling }, width, height, this.colours, against);
        const picture = new ImageData(new Uint8ClampedArray(words.buffer), width, height);
        canvas.getContext("2d").putImageData(picture, 0, 0);
      }
      const entry = findingOf(about, finding);
      const film = at ? "This film" : `Prior film (${this.name})`;
      const said = `${film}: ${entry.title} ${percent(reports[at].probabilities[finding])}.`;
      pane.querySelector("figcaption").textContent = quiet ? `${said} ${nothing(entry)}` : said;
    });
  }

  /** Another finding was chosen on the page. */
  choose() {
    if (!this.answer || this.page.part("prior-panel").hidden) return;
    for (const button of this.page.part("prior-table").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.value === this.page.finding));
    }
    this.draw();
  }

  fill() {
    const { page, answer } = this;
    const { changes } = answer;
    const rank = ({ name }) => Number(changes[name].beyond) * 2 + Math.abs(changes[name].difference);
    const order = [...page.about.findings].sort((a, b) => rank(b) - rank(a));
    const titles = ["Finding", "Difference", "Prior (range)", "This film (range)"];
    const head = titles.map((title) => make("th", { scope: "col" }, title));
    const rows = order.map((entry) => this.row(entry, changes[entry.name]));
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
    page.part("prior-table").replaceChildren(table);
  }

  row({ name, title, normal }, change) {
    const { page } = this;
    const pressed = String(name === page.finding);
    const button = make("button", { type: "button", value: name, "aria-pressed": pressed }, title);
    button.addEventListener("click", () => {
      page.part("findings").querySelector(`[data-finding="${CSS.escape(name)}"] input`).click();
    });
    const cell = (share, [low, high], report) => {
      const node = make("td", {}, percent(share), make("small", {}, `${percent(low)} to ${percent(high)}`));
      node.dataset.positive = report.positive[name] === true && !normal;
      return node;
    };
    const row = make(
      "tr",
      {},
      make("th", { scope: "row" }, button),
      make("td", {}, points(change.difference), make("small", {}, `${change.beyond ? "beyond" : "within"} shaking`)),
      cell(change.before, change.before_range, this.answer.report),
      cell(change.after, change.after_range, page.result.report),
    );
    row.dataset.marked = change.beyond;
    row.dataset.change = name;
    return row;
  }
}

// Wheel, drag, two fingers, a double click and keys move both films.
function watchView(view, films) {
  const pointers = new Map();
  const place = ({ clientX, clientY }) => {
    const { left, top, width, height } = view.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height];
  };
  const mean = (axis) => [...pointers.values()].reduce((sum, at) => sum + at[axis], 0) / pointers.size;
  const middle = () => [mean(0), mean(1)];
  const apart = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };
  const on = (kind, act, options) => view.addEventListener(kind, act, options);
  on("wheel", (event) => {
    event.preventDefault();
    films.follow(zoomed(films.state, Math.exp(-event.deltaY / 400), place(event)));
  }, { passive: false });
  on("dblclick", () => films.fit());
  on("pointerdown", (event) => {
    view.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    view.classList.add("dragged");
  });
  on("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    const [before, distance] = [middle(), pointers.size === 2 && apart()];
    pointers.set(event.pointerId, place(event));
    const now = middle();
    if (distance) films.follow(zoomed(films.state, apart() / distance, now));
    films.follow(panned(films.state, now[0] - before[0], now[1] - before[1]));
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    on(kind, (event) => {
      pointers.delete(event.pointerId);
      view.classList.toggle("dragged", pointers.size > 0);
    });
  }
  const moves = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
  on("keydown", (event) => {
    const { key } = event;
    if (moves[key]) films.follow(panned(films.state, ...moves[key]));
    else if (key === "+" || key === "=") films.follow(zoomed(films.state, 1.25));
    else if (key === "-") films.follow(zoomed(films.state, 0.8));
    else if (key === "0") films.fit();
    else return;
    event.preventDefault();
  });
}
