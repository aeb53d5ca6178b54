// Learn to read: the reader answers a case, sees the model's answer, may change, sees the truth; the round is scored.

import { make } from "./dom.js";
import { CaseFilm } from "./learnfilm.js";
import { confidences, findingRow, hintOf, mostLikely, truthInWords } from "./learnform.js";
import { showScore } from "./learnscore.js";
import { modeOf } from "./modes.js";
import { addressIn, phantoms, phantomsOf, Stopwatch } from "./rounds.js";
import { sentence } from "./words.js";

/** Set up the mode. */
export function watchLearning(page) {
  new Learning(page).listen();
}

class Learning {
  constructor(page) {
    this.page = page;
    this.film = new CaseFilm(page, (box) => this.drawn(box));
    this.watch = new Stopwatch();
    this.round = null;
    this.menu = null; // asked once, when the mode is first shown
  }

  listen() {
    const { page } = this;
    const on = (name, kind, act) => page.part(name).addEventListener(kind, act);
    const go = (address) => (location.hash = "learn=" + encodeURI(address));
    const submits = (name, address) =>
      on(name, "submit", (event) => {
        event.preventDefault();
        if (addressIn(location.hash) === address()) this.open(address());
        else go(address());
      });
    submits("learn-phantoms", () => phantoms(page.part("learn-count").value, page.part("learn-seed").value));
    submits("learn-hub", () => page.part("learn-address").value.trim());
    on("learn-menu", "click", ({ target }) => {
      const address = target.closest("button")?.dataset.address;
      if (address) addressIn(location.hash) === address ? this.open(address) : go(address);
    });
    on("learn-form", "submit", (event) => {
      event.preventDefault();
      this.next();
    });
    on("learn-findings", "input", ({ target }) => this.rate(target));
    on("learn-findings", "keydown", (event) => this.key(event));
    on("learn-findings", "click", ({ target }) => this.press(target.closest("button")));
    on("learn-finish", "click", () => this.score());
    on("learn-leave", "click", () => this.leave());
    on("learn-again", "click", () => this.leave());
    on("learn-more", "click", () => {
      const { count, seed } = this.round.phantoms;
      go(phantoms(count, seed + 1));
    });
    on("learn-show-map", "change", () => this.showMap());
    for (const kind of ["csv", "json"]) on("learn-" + kind, "click", () => this.save(kind));
    document.addEventListener("visibilitychange", () => this.keepTime());
    window.addEventListener("hashchange", () => this.follow());
    this.follow();
  }

  // The address names the mode and the set. A round goes on when the reader comes back from another mode.
  follow() {
    this.keepTime();
    if (modeOf(location.hash) !== "learn") return;
    if (!this.menu) this.showMenu();
    const address = addressIn(location.hash);
    if (address && address !== this.round?.address) this.open(address);
    else if (!this.round) this.stage("sets");
  }

  keepTime() {
    if (this.round?.stage !== "read") return;
    if (document.hidden || modeOf(location.hash) !== "learn") this.watch.pause();
    else this.watch.go();
  }

  ask(question, more = {}) {
    return this.page.call("learn", { ask: question, address: this.round?.address, ...more });
  }

  fail(message) {
    this.page.part("learn-error").textContent = sentence(message);
    this.page.part("learn-error").hidden = false;
    this.busy(false);
  }

  busy(busy) {
    this.page.part("learn").setAttribute("aria-busy", String(busy));
    for (const name of ["learn-next", "learn-finish"]) this.page.part(name).disabled = busy;
  }

  stage(stage) {
    if (this.round) this.round.stage = stage;
    this.page.part("learn").dataset.stage = stage;
    this.page.part("learn-error").hidden = true;
  }

  async showMenu() {
    const { page } = this;
    this.menu = await this.ask("sets");
    if (this.menu.kind === "error") return this.fail(this.menu.message);
    const buttons = this.menu.sets.map(({ address, title, cases }) => {
      const size = cases ? `${cases} films` : "on the Hub";
      const button = make("button", { type: "button" }, title, make("span", { className: "badge" }, size));
      button.dataset.address = address;
      return button;
    });
    page.part("learn-menu").replaceChildren(...buttons);
    page.part("learn-offered").hidden = !buttons.length;
    page.part("learn-hub").hidden = !this.menu.hub;
    page.part("learn-count").max = this.menu.most;
  }

  leave() {
    this.round = null;
    this.stage("sets");
    if (addressIn(location.hash)) location.hash = "learn";
    this.page.part("learn-count").focus();
  }

  async open(address) {
    const { page } = this;
    this.round = { address, stage: "sets", answers: [], films: new Map() };
    this.stage("opening");
    const round = this.round;
    const chosen = page.modelName === page.start.models[0].name ? "" : page.modelName; // the first is nobody's choice
    const set = await this.ask("set", { model: chosen });
    if (this.round !== round) return;
    if (set.kind === "error") {
      this.round = null;
      this.stage("sets");
      return this.fail(set.message);
    }
    Object.assign(round, {
      set,
      fine: page.part("learn-fine").checked,
      revise: page.part("learn-revise").checked && Boolean(set.model),
      phantoms: phantomsOf(address),
      at: -1,
    });
    this.nextCase();
  }

  // The film of a case; the next one is fetched while the reader looks at this one.
  fetch(row) {
    const { films } = this.round;
    if (!films.has(row)) films.set(row, this.ask("film", { case: row }));
    return films.get(row);
  }

  async nextCase() {
    const { page, round } = this;
    round.at += 1;
    this.stage("opening");
    this.busy(true);
    const picture = await this.fetch(round.at);
    if (this.round !== round) return;
    if (picture.kind === "error") {
      round.films.delete(round.at);
      round.at -= 1;
      this.stage("failed");
      page.part("learn-next").textContent = "Try again";
      return this.fail(picture.message);
    }
    round.films.delete(round.at - 1);
    Object.assign(round, { model: null, truth: null, after: null, mapped: null });
    const none = Object.fromEntries(round.set.findings.map(({ name }) => [name, 0]));
    round.answer = { case: round.at, before: { ...none }, boxes: {} };
    await this.film.show(picture);
    this.stage("read");
    this.show();
    this.busy(false);
    this.watch.start();
    this.keepTime();
    if (round.at + 1 < round.set.cases) this.fetch(round.at + 1);
  }

  async next() {
    const { round } = this;
    if (this.film.tool.isDrawing || this.page.part("learn-next").disabled) return;
    if (round.stage === "failed" || (round.stage === "truth" && round.at + 1 < round.set.cases)) return this.nextCase();
    if (round.stage === "truth") return this.score();
    if (round.stage === "read") round.answer.seconds = this.watch.stop();
    this.busy(true);
    if (round.stage === "read" && round.set.model && !(await this.fetchInto("model"))) return;
    if (round.stage === "read" && round.revise) {
      round.after = { ...round.answer.before };
      this.stage("model");
    } else {
      if (!(await this.fetchInto("truth"))) return;
      this.note();
      this.stage("truth");
    }
    this.busy(false);
    this.show();
  }

  async fetchInto(what) {
    const { round } = this;
    const answer = await this.ask(what, { case: round.at, model: round.set.model });
    if (this.round !== round) return false;
    if (answer.kind === "error") this.fail(answer.message);
    else round[what] = answer;
    return answer.kind !== "error";
  }

  // The case is answered: it counts in the score.
  note() {
    const { round } = this;
    const { answer, model } = round;
    answer.after = round.after || { ...answer.before };
    answer.model = model?.probabilities ?? {};
    const calls = Object.entries(model?.positive ?? {});
    answer.calls = Object.fromEntries(calls.map(([name, call]) => [name, call === null ? null : Number(call)]));
    round.answers.push(answer);
  }

  rate(input) {
    const row = input.closest("[data-finding]");
    if (!row || !this.round || this.round.stage === "truth") return;
    confidences(this.round)[row.dataset.finding] = Number(input.value) / 100;
    const shown = row.querySelector("output");
    if (shown) shown.textContent = input.value;
  }

  key(event) {
    const row = event.target.closest("[data-finding]");
    const step = /^[1-5]$/.test(event.key) && row?.querySelectorAll("input[type=radio]")[Number(event.key) - 1];
    if (!step || step.disabled) return;
    event.preventDefault();
    step.focus();
    step.click();
  }

  press(button) {
    const { round } = this;
    const finding = button?.closest("[data-finding]")?.dataset.finding;
    if (!finding) return;
    if (button.name === "map") {
      round.mapped = round.mapped === finding ? null : finding;
      this.show(false);
    } else if (button.name === "unmark") {
      delete round.answer.boxes[finding];
      this.show(false);
    } else {
      round.marking = finding;
      this.film.draw(this.titleOf(finding));
    }
  }

  titleOf(name) {
    return this.round.set.findings.find((finding) => finding.name === name).title;
  }

  // A box was drawn, or not. A finding with a box is at least likely.
  drawn(box) {
    const { page, round } = this;
    const { marking, answer } = round;
    let words = "";
    if (box) {
      (answer.boxes[marking] ||= []).push(box.map((value) => Math.round(1e4 * value) / 1e4));
      if (answer.before[marking] <= 0.5) {
        answer.before[marking] = 0.75;
        words = `${this.titleOf(marking)} is marked, and set to ${round.fine ? "75" : "“Likely”"}.`;
      }
    }
    this.show(false);
    page.part("learn-told").textContent = words;
    const row = [...page.part("learn-findings").children].find((one) => one.dataset.finding === marking);
    row?.querySelector("[name=mark]")?.focus({ preventScroll: true });
  }

  /** Draw the stage of the case. `anew`: it has just begun, so its heading gets the focus. */
  show(anew = true) {
    const { page, round } = this;
    const { set, stage, answer } = round;
    const last = round.at + 1 === set.cases;
    page.part("learn-progress").textContent = `Case ${round.at + 1} of ${set.cases} · ${set.title}`;
    page.part("learn-source").textContent = set.note;
    page.part("learn-question").textContent = {
      read: "What do you see?",
      model: "The model’s answer. Do you change yours?",
      truth: truthInWords(round),
    }[stage];
    page.part("learn-hint").textContent = hintOf(round);
    page.part("learn-told").textContent = "";
    page.part("learn-next").textContent = {
      read: "Answer",
      model: "Show the truth",
      truth: last ? "Score the round" : "Next case",
    }[stage];
    page.part("learn-finish").hidden = !(stage === "truth" && !last);
    if (anew && round.model) round.mapped ??= mostLikely(round);
    const focused = anew ? null : document.activeElement?.closest("[data-finding]")?.dataset.finding;
    const name = document.activeElement?.name;
    page.part("learn-findings").replaceChildren(...set.findings.map((finding) => findingRow(round, finding)));
    if (focused) page.part("learn-findings").querySelector(`[data-finding="${focused}"] [name="${name}"]`)?.focus();
    const titled = (kind, boxes) =>
      Object.entries(boxes).flatMap(([finding, all]) => all.map((box) => [kind, this.titleOf(finding), box]));
    this.film.boxes([...titled("true", round.truth?.boxes ?? {}), ...titled("yours", answer.boxes)]);
    page.part("learn-key").hidden = !(stage === "truth" && set.has_boxes);
    this.showMap();
    if (anew) this.begin("learn-question");
  }

  // A stage begins: its heading has the focus, and the film or the score is in sight.
  begin(heading) {
    this.page.part("learn").scrollIntoView({ block: "start" });
    this.page.part(heading).focus({ preventScroll: true });
  }

  showMap() {
    const { page, round } = this;
    const map = round.mapped && round.model?.maps[round.mapped];
    page.part("learn-show-map-label").hidden = !round.model;
    const title = round.mapped ? this.titleOf(round.mapped) : "";
    const shown = map && page.part("learn-show-map").checked ? map : null;
    const quiet = shown?.evidence === false;
    this.film.map(quiet ? null : shown, title);
    const words = quiet
      ? `No map for ${title}: there is no more evidence than on films without it.`
      : `Map: where the model saw evidence for ${title}.`;
    page.part("learn-map-note").textContent = shown ? words : "";
  }

  async score() {
    const { round } = this;
    this.busy(true);
    const answer = await this.ask("score", { model: round.set.model, answers: round.answers });
    if (this.round !== round) return;
    if (answer.kind === "error") return this.fail(answer.message);
    this.busy(false);
    this.stage("score");
    showScore(this.page, round, answer.scores);
    this.begin("learn-result");
  }

  // The file is made by the server with the reader's name in it, and kept nowhere.
  async save(kind) {
    const { page, round } = this;
    const reader = page.part("learn-reader").value.trim();
    const answer = await this.ask("score", { model: round.set.model, answers: round.answers, reader });
    if (answer.kind === "error") return this.fail(answer.message);
    const content = kind === "csv" ? answer.csv : JSON.stringify(answer.json, null, 2);
    const type = kind === "csv" ? "text/csv" : "application/json";
    const parts = [reader || "reader", round.address.split("/").at(-1).replace(/[.]zip$/, "")];
    const name = parts.join("-").replace(/[^\w.-]+/g, "_");
    const link = make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: `${name}.${kind}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
}
