// A prior film beside the one on the screen: one zoom, window and finding for both, and each finding's difference.

import { make } from "./dom.js";
import { Handling } from "./handling.js";
import { mapColours, paintMap } from "./heatmap.js";
import { isNoBetterThanNoise, localisationOf } from "./located.js";
import { strongest } from "./maps.js";
import { findingOf, listed, nothing, percent, sentence } from "./words.js";

/** 0.053 -> "+5.3 points"; what rounds to nothing has no sign. */
export function points(difference) {
  const size = Math.abs(100 * difference).toFixed(1);
  const sign = Number(size) ? (difference < 0 ? "−" : "+") : "";
  return `${sign}${size} points`;
}

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
    this.handling = new Handling(page, page.part("prior-panel"));
    this.colours = mapColours(page);
    this.listen();
  }

  get input() {
    return document.querySelector("#prior-upload input[type=file]");
  }

  listen() {
    const { page } = this;
    const on = (name, kind, act) => page.part(name).addEventListener(kind, act);
    on("prior-choose", "click", () => this.input?.click());
    on("prior-remove", "click", () => this.forget());
    on("prior-map", "change", () => this.draw());
    on("findings", "change", () => this.choose());
    document.addEventListener("change", (event) => this.check(event), true);
    page.root.addEventListener("letgo", () => this.forget());
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
    const [answer, values] = await Promise.all([
      page.call("compare_prior", { token, prior, model: about.name }),
      page.call("values", prior),
      page.screen.arrived,
    ]);
    if (token !== page.token || prior !== this.token) return;
    this.say(answer.kind === "error" ? sentence(answer.message) : "");
    page.part("prior-remove").hidden = false;
    if (answer.kind === "error") return;
    this.answer = answer;
    await this.showFilms(values);
    if (token !== page.token || prior !== this.token) return;
    const { gate } = answer.report;
    const refused = "The input gate refuses the prior film, so its numbers may mean nothing: ";
    const begin = gate.accepted === false ? refused : "About the prior film: ";
    page.notice("prior-gate", gate.sentences.length && begin + gate.sentences.join(" "));
    page.part("prior-panel").hidden = false;
    page.part("prior-said").textContent = changesInWords(about, answer.changes);
    this.fill();
    this.draw();
  }

  // Another model leaves both films as they are looked at.
  async showFilms(values) {
    const { page, handling } = this;
    const [prior, current] = handling.screens;
    if (this.films?.[0] === this.token && this.films[1] === page.film) return;
    this.films = [this.token, page.film];
    handling.begin(prior, values);
    handling.begin(current, page.screen.film);
    current.facts = page.screen.facts;
    if (page.screen.grey) current.take(page.screen.grey);
    await prior.receive(values);
    if (!prior.grey) prior.picture.src = await page.server.picture(this.token).catch(() => "");
    if (!current.grey) current.picture.src = page.part("image").src;
    handling.showState();
  }

  forget() {
    const { page } = this;
    if (this.token) page.server.forget(this.token);
    Object.assign(this, { token: null, answer: null, films: null });
    for (const name of ["prior-panel", "prior-remove"]) page.part(name).hidden = true;
    for (const screen of this.handling.screens) {
      screen.forget();
      screen.picture.removeAttribute("src");
    }
    page.notice("prior-gate", "");
    this.say("");
  }

  /** The maps of the page's finding on both films, in one colour scale. */
  draw() {
    const { page } = this;
    const { finding, about } = page;
    const maps = [this.answer.maps[finding], page.maps.gradcam[finding]];
    const ceiling = Math.max(...maps.map(strongest));
    const faint = isNoBetterThanNoise(localisationOf(about, finding));
    const reports = [this.answer.report, page.result.report];
    this.handling.screens.forEach(({ stage, film: size }, at) => {
      const quiet = maps[at].evidence === false;
      const shown = page.part("prior-map").checked && !quiet;
      stage.dataset.faint = faint;
      paintMap(stage.querySelector(".heat"), shown ? { ...maps[at], ceiling } : null, size, this.colours);
      const entry = findingOf(about, finding);
      const film = at ? "This film" : `Prior film (${this.name})`;
      const said = `${film}: ${entry.title} ${percent(reports[at].probabilities[finding])}.`;
      stage.nextElementSibling.textContent = quiet ? `${said} ${nothing(entry)}` : said;
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
