// Which model answers, how good it is, and others from the Hugging Face Hub.

import { make, pause } from "./dom.js";
import { dashboardAddress, grouped, withModel } from "./menu.js";
import { COLUMNS, COLUMN_HELP, films, headline, scoreRows } from "./scores.js";
import { diseases, listed, sentence } from "./words.js";

const LOOK_AGAIN_MS = 300_000;
const FETCHING_MS = 500;

export class Models {
  constructor(page) {
    this.page = page;
    this.entries = [];
    this.add(page.start.models);
    page.part("hub").hidden = !page.start.hub;
    page.part("dashboard").hidden = !page.start.dashboard;
    page.part("model").addEventListener("change", (event) => this.read(event.target.value));
    page.part("hub").addEventListener("toggle", () => page.part("hub").open && page.part("hub-reference").focus());
    page.part("hub-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const reference = page.part("hub-reference").value.trim();
      if (reference && !page.part("hub-open").disabled) this.openFromHub(reference);
    });
    setInterval(() => page.about && !document.hidden && this.lookForNewer(), LOOK_AGAIN_MS);
  }

  /** Put models on this page's menu. */
  add(entries) {
    const menu = this.page.part("model");
    const chosen = menu.value;
    this.entries = entries.reduce(withModel, this.entries);
    const { own, hub } = grouped(this.entries);
    const option = ({ name, title }) => make("option", { value: name }, title);
    menu.replaceChildren(...own.map(option));
    if (hub.length) menu.append(make("optgroup", { label: "From the Hugging Face Hub" }, ...hub.map(option)));
    if (chosen) menu.value = chosen;
  }

  /** The facts of a model arrived without a film. */
  receive({ about, models = [] }) {
    this.add(models);
    if (about.name === this.page.modelName) this.show(about); // else another was chosen meanwhile
  }

  show(about) {
    const { page } = this;
    page.about = about;
    page.part("model").value = about.name;
    this.lookForNewer();
    if (page.start.dashboard) {
      const address = dashboardAddress(page.start.dashboard, about.name, page.start.models);
      page.part("dashboard").querySelector("a").href = address;
    }
    page.part("headline").textContent = headline(about);
    page.notice("about-synthetic-model", about.synthetic && page.start.synthetic);
    page.notice("about-warning", about.note);
    const titles = diseases(about).map((entry) => entry.title.toLowerCase());
    const limits = `It knows only ${listed(titles)}. Whatever else a film shows, it cannot tell.`;
    const facts = about.facts.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]);
    const knows = make("p", { className: "headline" }, limits);
    const scores = about.evaluations.length ? [allScores(about)] : [];
    page.part("about").replaceChildren(knows, make("dl", {}, ...facts), ...scores);
  }

  /** Let another model read the film that is there. */
  read(name) {
    const { page } = this;
    this.status("");
    page.chosenBefore = null;
    page.part("model").value = name;
    const title = page.part("model").selectedOptions[0].textContent;
    if (page.token) page.enter("reading", "Reading the film with " + title);
    page.trigger("ask_model", { model: name, token: page.token || "" });
    page.token = null;
  }

  /** A model that cannot answer leaves the film, and the result before it, where they were. */
  refuse({ previous_token: token, message }) {
    const { page } = this;
    page.token = token || null;
    page.correcting = "";
    page.part("model").value = page.about.name;
    page.enter(page.result && token ? "result" : "empty");
    this.status(message);
  }

  /** What happens, or failed, beside the field for a reference. */
  status(words, busy = false) {
    const place = this.page.part("hub-status");
    const spinner = make("span", { className: "spinner", "aria-hidden": "true" });
    place.replaceChildren(...(busy ? [spinner] : []), make("span", {}, sentence(words)));
    place.classList.toggle("busy", busy);
    place.classList.toggle("fault", !busy);
    place.hidden = !words;
  }

  /** The film, the result and the present model stay until the other model is here. */
  async openFromHub(reference, newest = false) {
    const { page } = this;
    page.part("hub-open").disabled = true;
    this.status(`Fetching ${reference} from the Hugging Face Hub. This page goes on with the model it has.`, true);
    let answer = await page.call("open_hub", { reference, newest });
    while (answer.kind === "fetching") {
      await pause(FETCHING_MS);
      answer = await page.call("open_hub", { reference, newest });
    }
    while (page.root.dataset.state === "reading") await pause(100);
    page.part("hub-open").disabled = false;
    if (answer.kind === "error") return this.status(answer.message);
    this.status("");
    page.part("hub-reference").value = "";
    page.part("hub").open = false;
    this.add([answer.model]);
    if (!page.token) page.part("model").focus();
    this.read(answer.model.name);
  }

  // A newer revision is offered and never opened unasked; the server asks the Hub every few minutes at most.
  async lookForNewer() {
    const { page } = this;
    const { name, hub } = page.about;
    const newer = hub && (await page.server.newer(name).catch(() => null));
    if (page.about.name !== name) return;
    page.part("newer").hidden = !newer;
    if (!newer) return;
    const button = make("button", { type: "button", className: "link" }, "Open it");
    button.addEventListener("click", () => {
      page.part("newer").hidden = true;
      this.openFromHub(newer.reference, true);
    });
    page.part("newer").replaceChildren(`A newer revision of ${newer.repo} is on the Hub (${newer.revision}). `, button);
  }
}

function allScores(about) {
  const tables = about.evaluations.map((scores) => scoreTable(about, scores));
  const help = make("p", { className: "muted small" }, COLUMN_HELP);
  return make("details", {}, make("summary", {}, "All scores"), ...tables, help);
}

function scoreTable(about, scores) {
  const head = COLUMNS.map((title) => make("th", { scope: "col" }, title));
  const rows = scoreRows(about, scores).map(([title, ...cells]) => {
    return make("tr", {}, make("th", { scope: "row" }, title), ...cells.map((text) => make("td", {}, text)));
  });
  const badge = make("span", { className: "badge" }, scores.split);
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
  return make(
    "div",
    { className: "scores" },
    make("p", {}, make("strong", {}, scores.dataset), " ", badge, " " + films(scores)),
    make("div", { className: "scroll" }, table),
  );
}
