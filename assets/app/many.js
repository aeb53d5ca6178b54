// Many films: what was dropped becomes a list; a few films at a time go to the server, and their rows fill the table.
// The films stay files of the browser; one that is opened goes to the server again, as if it were dropped alone.

import { baseName, chosenFiles, collect } from "./collect.js";
import { make, pause } from "./dom.js";
import { csvOf, GATES, imageNames, isRead, jsonOf } from "./filmlist.js";
import { scoresCard } from "./listscores.js";
import { ListTable } from "./listtable.js";
import { count, sentence } from "./words.js";

const SHOWN_MS = 1000; // between two drawings of a table that fills
const SETTLED_MS = 40;
const TRIES_MS = [1000, 3000, 8000]; // pauses before a request is sent again
const MOST_SKIPPED = 200; // named on the page
const UNFORESEEN = 500; // the HTTP status of a failure that no sentence was written for
const SILENT = "The server did not answer.";

class Unanswered extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class Many {
  /** @param read reads one File in the viewer, as one of a list */
  constructor(page, read) {
    Object.assign(this, { page, read, rows: [], skipped: [], labels: null, scores: null, current: null });
    this.limits = page.start.many;
    this.table = new ListTable(page, (row) => this.openFilm(row));
    page.part("list-most").textContent = count(this.limits.films);
    page.part("list-gate").replaceChildren(...GATES.map(([value, words]) => make("option", { value }, words)));
    this.listen();
  }

  listen() {
    const { page } = this;
    const click = (name, work) => page.part(name).addEventListener("click", work);
    for (const [button, input] of [
      ["choose-films", "list-files"],
      ["choose-folder", "list-folder"],
      ["add-labels", "list-labels"],
    ]) {
      click(button, () => page.part(input).click());
      page.part(input).addEventListener("change", ({ target }) => {
        if (target.files.length) this.take(chosenFiles(target.files));
        target.value = "";
      });
    }
    click("list-stop", () => this.stop());
    click("list-go-on", () => this.run());
    click("list-again", () => this.begin({ ...this, films: this.rows.map(({ entry }) => entry) }));
    click("list-clear", () => this.clear());
    click("save-csv", () => save(new Blob([csvOf(this.rows)], { type: "text/csv" }), "predictions.csv"));
    click("save-parquet", () => this.saveParquet(null));
    click("save-list-json", () => {
      const facts = jsonOf(this.rows, this.skipped, page.start.note);
      save(new Blob([JSON.stringify(facts, null, 1)], { type: "application/json" }), "films.json");
    });
    click("list-previous", () => this.step(-1));
    click("list-next", () => this.step(1));
    click("list-return", () => (location.hash = "many"));
    page.part("model").addEventListener("change", () => this.showState());
    document.addEventListener("keydown", (event) => this.key(event));
  }

  /** Files came in, {path, file}[] or a promise of it: films to read, or labels for those that are there. */
  async take(files) {
    const { page } = this;
    location.hash = "many";
    this.tell("");
    try {
      const list = await collect(await files, this.limits);
      if (list.films.length) await this.begin(list);
      else if (!this.rows.length) throw new Error("Labels need films: drop the films too, or first.");
      else {
        this.labels = list.labels;
        await this.score();
      }
    } catch (error) {
      this.tell(error.message);
    }
    page.part("list-status").focus();
  }

  async begin({ films, labels, skipped }) {
    const { page } = this;
    this.stop();
    while (page.about?.name !== page.modelName) await pause(50); // the model's findings are on their way
    const names = imageNames(films.map(({ path }) => path));
    this.rows = films.map((entry, k) => ({ path: entry.path, image: names[k], state: "waiting", entry }));
    Object.assign(this, { skipped, labels, scores: null, about: page.about, message: "" });
    page.part("list-scores").hidden = true;
    this.showSkipped();
    this.table.begin(this.rows, this.about);
    await this.run();
  }

  get waiting() {
    return this.rows.filter(({ state }) => state === "waiting");
  }

  /** Read what waits, in several requests at a time. */
  async run() {
    const control = new AbortController();
    const started = { at: performance.now(), waiting: this.waiting.length };
    Object.assign(this, { control, started, message: "" });
    const batches = this.batches(this.waiting);
    const worker = async () => {
      for (const batch of batches) {
        if (control.signal.aborted) return;
        await this.readBatch(batch, control.signal);
        this.showSoon();
      }
    };
    this.showState();
    await Promise.all(Array.from({ length: this.limits.parallel }, worker)).catch((error) => {
      control.abort();
      if (this.control === control) this.message = error.message;
    });
    if (this.control !== control) return; // stopped, or another list
    this.control = null;
    this.show();
    if (this.labels && !this.waiting.length) await this.score();
  }

  *batches(rows) {
    let [batch, bytes] = [[], 0];
    for (const row of rows) {
      const { batch_films: films, batch_bytes: most } = this.limits;
      if (batch.length && (batch.length >= films || bytes + row.entry.size > most)) {
        yield batch;
        [batch, bytes] = [[], 0];
      }
      batch.push(row);
      bytes += row.entry.size;
    }
    if (batch.length) yield batch;
  }

  async readBatch(batch, signal) {
    const films = [];
    for (const row of batch) {
      try {
        films.push({ row, content: await row.entry.open() });
      } catch (error) {
        fail(row, `'${baseName(row.path)}' ${error.message || "could not be opened"}.`);
      }
    }
    if (!films.length || signal.aborted) return;
    const files = films.map(({ row }) => ({ name: row.path, size: row.entry.size, crc: row.entry.crc }));
    const contents = films.map(({ content }) => content);
    let response;
    try {
      response = await this.send("films", { model: this.about.name, files }, contents, signal);
    } catch (error) {
      if (error.status !== UNFORESEEN) throw error;
      if (films.length === 1) return fail(films[0].row, error.message);
      for (const { row } of films) await this.readBatch([row], signal); // which of them it was
      return;
    }
    if (!response) return;
    const { films: answers } = await response.json();
    films.forEach(({ row }, k) => {
      const { path, ...facts } = answers[k]; // eslint-disable-line no-unused-vars
      if (facts.error) fail(row, facts.error);
      else Object.assign(row, facts, { state: "read" });
    });
  }

  /** A request to the server; null once it is stopped. Throws Error with a sentence. */
  async send(what, header, contents, signal) {
    const url = new URL("gradio_api/many/" + what, rootAddress());
    const body = new Blob([JSON.stringify(header), "\n", ...contents]);
    for (let attempt = 0; ; attempt++) {
      const response = await fetch(url, { method: "POST", body, signal }).catch(() => null);
      if (signal?.aborted) return null;
      if (response?.ok) return response;
      const busy = !response || response.status === 503;
      if (!busy || attempt === TRIES_MS.length) {
        const answer = await response?.json().catch(() => null);
        throw new Unanswered(answer?.message || SILENT, response?.status);
      }
      await pause(TRIES_MS[attempt]);
    }
  }

  /** Score the list against its labels. */
  async score() {
    const { page, labels } = this;
    try {
      const [file, table] = [new Blob([await labels.open()]), new Blob([csvOf(this.rows)])];
      if (!table.size) throw new Error("No film was read, so there is nothing to score.");
      const header = { model: this.about.name, labels: labels.name, sizes: [file.size, table.size] };
      const response = await this.send("scores", header, [file, table]);
      this.scores = await response.json();
    } catch (error) {
      this.labels = null;
      this.tell(error.message);
      return;
    }
    for (const row of this.rows) row.labelled = this.scores.labelled[row.image] ?? null;
    const json = make("button", { type: "button" }, "Scores, metrics.json");
    json.addEventListener("click", () => {
      save(new Blob([JSON.stringify(this.scores.metrics, null, 2)], { type: "application/json" }), "metrics.json");
    });
    const parquet = make("button", { type: "button" }, "Table with labels, Parquet");
    parquet.addEventListener("click", () => this.saveParquet(labels));
    const card = page.part("list-scores");
    card.replaceChildren(...scoresCard(this.about, this.scores, [json, parquet], page.start.dashboard));
    card.hidden = false;
    this.table.show();
  }

  async saveParquet(labels) {
    try {
      const [file, table] = [new Blob(labels ? [await labels.open()] : []), new Blob([csvOf(this.rows)])];
      const header = { model: this.about.name, labels: labels?.name, sizes: [file.size, table.size] };
      const response = await this.send("parquet", header, [file, table]);
      save(await response.blob(), "predictions.parquet");
    } catch (error) {
      this.tell(error.message);
    }
  }

  stop() {
    this.control?.abort();
    this.control = null;
    this.show();
  }

  clear() {
    this.stop();
    this.page.root.toggleAttribute("data-listed", false);
    Object.assign(this, { rows: [], skipped: [], labels: null, scores: null, current: null });
    this.tell("");
    this.showState();
    this.page.part("choose-films").focus();
  }

  /** Open a row's film in the viewer. Of several asked for while one is read, the last is opened after it. */
  async openFilm(row) {
    this.current = row;
    location.hash = "film";
    this.showPlace();
    if (this.opening) return;
    this.opening = true;
    for (let shown = null; shown !== this.current; ) {
      while (this.page.root.dataset.state === "reading") await pause(SETTLED_MS);
      await pause(SETTLED_MS); // Gradio empties its input
      shown = this.current;
      await this.sendFilm(shown);
    }
    this.opening = false;
  }

  async sendFilm({ path, entry }) {
    try {
      await this.read(new File([await entry.open()], baseName(path)));
    } catch (error) {
      this.page.fail(`'${baseName(path)}' ${error.message}`);
    }
  }

  /** The film before or after the one that is open, in the order of the table. */
  step(by) {
    const rows = this.table.chosen;
    const next = rows[rows.indexOf(this.current) + by];
    if (next) this.openFilm(next);
  }

  key(event) {
    const { root } = this.page;
    const typing = event.target.closest?.("input:not([type=radio]), select, textarea");
    const step = { n: 1, p: -1 }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
    if (!step || root.dataset.mode !== "film" || !root.hasAttribute("data-listed")) return;
    event.preventDefault();
    this.step(step);
  }

  showPlace() {
    const { page } = this;
    const rows = this.table.chosen;
    const place = rows.indexOf(this.current);
    page.root.toggleAttribute("data-listed", true);
    page.part("list-place").textContent = `${count(place + 1)} of ${count(rows.length)}`;
    page.part("list-previous").disabled = place <= 0;
    page.part("list-next").disabled = place < 0 || place + 1 >= rows.length;
  }

  tell(words) {
    this.page.part("list-error").textContent = sentence(words);
    this.page.part("list-error").hidden = !words;
  }

  showSoon() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.show();
    }, SHOWN_MS);
  }

  show() {
    this.showState();
    if (this.rows.length) this.table.show();
  }

  showState() {
    const { page, rows } = this;
    const [all, left] = [rows.length, this.waiting.length];
    const running = Boolean(this.control);
    page.part("many").dataset.list = all ? (running ? "reading" : "done") : "empty";
    if (!all) return;
    page.part("list-status").textContent = this.statusWords(all, left, running);
    page.part("list-progress").value = (all - left) / all;
    page.part("list-progress").hidden = !left;
    page.part("list-stop").hidden = !running;
    page.part("list-go-on").hidden = running || !left;
    page.part("list-again").hidden = running || page.modelName === this.about.name;
    page.part("list-again").textContent = `Read again with ${page.modelName}`;
    page.part("add-labels").disabled = running || !rows.some(isRead);
    for (const name of ["save-csv", "save-parquet", "save-list-json"]) page.part(name).disabled = !rows.some(isRead);
    const caution = this.about.synthetic ? page.start.synthetic : this.about.caution;
    page.notice("list-warning", [this.message && sentence(this.message), caution].filter(Boolean).join(" "));
  }

  statusWords(all, left, running) {
    const failed = this.rows.filter(({ state }) => state === "failed").length;
    const bad = failed ? `, ${count(failed)} not readable` : "";
    const read = failed ? `${count(all - failed)} of ${count(all)}` : count(all);
    if (!left) return `${read} films read by ${this.about.name}${bad}`;
    const done = this.started.waiting - left;
    const seconds = (performance.now() - this.started.at) / 1000;
    const rate = running && done ? `, ${(done / seconds).toFixed(1)} films a second` : "";
    return `${count(all - left)} of ${count(all)} films read${bad}${rate}${running ? "" : ", stopped"}`;
  }

  showSkipped() {
    const place = this.page.part("list-skipped");
    const { length } = this.skipped;
    place.hidden = !length;
    place.querySelector("summary").textContent =
      `${count(length)} ${length === 1 ? "file" : "files"} skipped, which ${length === 1 ? "is" : "are"} no film`;
    const lines = this.skipped.slice(0, MOST_SKIPPED).map(({ path, why }) => make("li", {}, `${path}: ${why}`));
    const more = length - MOST_SKIPPED;
    if (more > 0) lines.push(make("li", {}, `and ${count(more)} more, named in the JSON`));
    place.querySelector("ul").replaceChildren(...lines);
  }
}

function fail(row, error) {
  Object.assign(row, { state: "failed", error });
}

// Gradio knows where the page is mounted, also below another program's prefix.
function rootAddress() {
  const root = window.gradio_config?.root || document.baseURI;
  return root.endsWith("/") ? root : root.split(/[?#]/)[0] + "/";
}

function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
