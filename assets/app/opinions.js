// Other models on the film that is here: one table, and where they disagree.

import { make } from "./dom.js";
import { listed, percent, sentence, wholePercent } from "./words.js";

const MOST = 3; // beside the model that answered

/** A model's answer to a row: {share, positive, threshold, of}; null where the model does not know the finding. */
function cell({ about, report }, row) {
  const known = about.findings.filter(({ name, normal }) => row.normal ? normal : name === row.name);
  const kinds = about.findings.filter(({ name }) => name.endsWith(" pneumonia"));
  const parts = known.length ? known : row.name === "Pneumonia" && about.kind === "multiclass" ? kinds : [];
  if (!parts.length) return null;
  const names = parts.map(({ name }) => name);
  const answers = names.map((name) => report.positive[name]);
  return {
    share: names.reduce((sum, name) => sum + report.probabilities[name], 0),
    positive: answers.includes(true) ? true : answers.includes(null) ? null : false,
    threshold: names.length === 1 ? report.thresholds[names[0]] : null,
    of: names.length > 1 ? parts.map(({ title }) => title.split(" ")[0].toLowerCase()).join(" + ") : "",
  };
}

/**
 * The rows of several models' answers: the absence of disease is one row, and of a model that tells kinds of
 * pneumonia apart their sum stands in the row of pneumonia.
 * @param opinions [{about, report}], as the server's "opinion"
 * @returns [{name, title, normal, cells, says, disagree, shared, known}]; `says`: each model's answer, null where it
 *   has none or its gate refused the film; `shared`: two have one; `known`: how many models know the finding
 */
export function rowsOf(opinions) {
  const rows = new Map();
  for (const { about } of opinions) {
    for (const { name, title, normal } of about.findings) {
      const key = normal ? "" : name;
      if (!rows.has(key)) rows.set(key, { name, title, normal: Boolean(normal) });
    }
  }
  const allowed = opinions.map(({ report }) => report.gate.accepted !== false);
  const full = [...rows.values()].map((row) => {
    const cells = opinions.map((opinion) => cell(opinion, row));
    const says = cells.map((one, at) => (one && allowed[at] ? one.positive : null));
    const disagree = !row.normal && says.includes(true) && says.includes(false);
    const shared = says.filter((said) => said !== null).length > 1;
    return { ...row, cells, says, disagree, shared, known: cells.filter(Boolean).length };
  });
  const weight = ({ disagree, shared, cells }) =>
    10 * disagree + 5 * shared + Math.max(...cells.map((one) => one?.share || 0));
  return full.sort((a, b) => a.normal - b.normal || weight(b) - weight(a));
}

/** Where they disagree and who says what, in one sentence. */
export function agreement(rows, opinions) {
  const shared = rows.filter((row) => row.shared && !row.normal);
  if (!shared.length) return "These models share no finding that two of them answer, so there is nothing to compare.";
  const names = (row, answer) => row.says.flatMap((said, at) => (said === answer ? [opinions[at].about.name] : []));
  const sides = (row) => {
    const [yes, no] = [true, false].map((answer) => listed(names(row, answer)));
    return `${row.title.toLowerCase()} (called by ${yes}, not by ${no})`;
  };
  const apart = shared.filter(({ disagree }) => disagree).map(sides);
  if (apart.length) return `They disagree on ${apart.join("; ")}.`;
  const many = shared.length === 1 ? shared[0].title.toLowerCase() : `all ${shared.length} findings that they share`;
  return `They agree on ${many}.`;
}

function inWords({ about }, { share, positive, threshold, of }, normal) {
  if (about.binary && normal) return [percent(share), ""]; // the disease has the threshold
  if (positive === null) return [percent(share), "no threshold"];
  if (threshold === null) return [percent(share), of || (positive ? "the most likely" : "less likely")];
  return [percent(share), `${positive ? "above" : "below"} ${wholePercent(threshold)}`];
}

/** What a model's gate says of the film. */
export function gateInWords({ gate }) {
  if (gate.accepted === null) return "has none";
  return gate.accepted ? gate.sentences.join(" ") || "nothing against it" : "refused: " + gate.sentences.join(" ");
}

export class Opinions {
  constructor(page) {
    this.page = page;
    page.part("opinion-choice").addEventListener("change", () => this.limit());
    page.part("opinion-ask").addEventListener("click", () => this.ask());
    page.part("opinions").addEventListener("toggle", () => this.offer());
  }

  /** Another result: nothing is asked until the visitor does. */
  show() {
    const { page } = this;
    for (const name of ["opinion-status", "opinion-said"]) page.part(name).textContent = "";
    page.part("opinion-table").hidden = true;
    this.offer();
  }

  // The menu as it is now, without the model that answered.
  offer() {
    const { page } = this;
    if (!page.about) return;
    const chosen = new Set(this.chosen);
    const others = [...page.part("model").options].filter(({ value }) => value !== page.about.name);
    const checks = others.map(({ value, textContent }) => {
      const box = make("input", { type: "checkbox", value, checked: chosen.has(value) });
      return make("label", { className: "check" }, box, make("span", {}, textContent));
    });
    page.part("opinion-choice").replaceChildren(page.part("opinion-choice").querySelector("legend"), ...checks);
    this.limit();
  }

  get boxes() {
    return [...this.page.part("opinion-choice").querySelectorAll("input")];
  }

  get chosen() {
    return this.boxes.filter(({ checked }) => checked).map(({ value }) => value);
  }

  limit() {
    const full = this.chosen.length >= MOST;
    for (const box of this.boxes) box.disabled = full && !box.checked;
    this.page.part("opinion-ask").disabled = this.busy || !this.chosen.length;
  }

  // One after another: each is loaded on first use, and the status says which.
  async ask() {
    const { page } = this;
    const { token } = page;
    const names = [page.about.name, ...this.chosen];
    const opinions = [];
    const faults = [];
    this.busy = true;
    this.limit();
    for (const model of names) {
      page.part("opinion-status").textContent = `${model} reads the film.`;
      const answer = await page.call("opinion", { token, model });
      if (token !== page.token) break;
      if (answer.kind === "opinion") opinions.push(answer);
      else faults.push(`${model}: ${sentence(answer.message)}`);
    }
    this.busy = false;
    this.limit();
    if (token !== page.token) return;
    page.part("opinion-status").textContent = faults.join(" ");
    if (opinions.length > 1) this.fill(opinions);
  }

  fill(opinions) {
    const { page } = this;
    const rows = rowsOf(opinions);
    page.part("opinion-said").textContent = agreement(rows, opinions);
    const head = opinions.map(({ about }) => {
      const notice = about.synthetic ? [make("small", {}, " (learned from drawn films)")] : [];
      return make("th", { scope: "col" }, about.name, ...notice);
    });
    const gates = opinions.map(({ report }) => make("td", {}, gateInWords(report)));
    const table = make(
      "table",
      {},
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Finding"), ...head)),
      make(
        "tbody",
        {},
        make("tr", {}, make("th", { scope: "row" }, "Input gate"), ...gates),
        ...rows.filter(({ known }) => known > 1).map((row) => rowOf(opinions, row)),
      ),
    );
    const alone = rows.filter(({ known }) => known === 1).map((row) => rowOf(opinions, row));
    page.part("opinion-table").replaceChildren(table);
    if (alone.length) table.append(...folded(alone));
    page.part("opinion-table").hidden = false;
  }
}

/** Rows of findings that one model alone knows, behind a button. */
function folded(rows) {
  const many = rows.length === 1 ? "one finding" : `${rows.length} findings`;
  const words = (verb) => `${verb} ${many} that one model alone knows`;
  const button = make("button", { type: "button", "aria-expanded": "false" }, words("Show"));
  const body = make("tbody", { hidden: true }, ...rows);
  button.addEventListener("click", () => {
    body.hidden = !body.hidden;
    button.setAttribute("aria-expanded", String(!body.hidden));
    button.textContent = words(body.hidden ? "Show" : "Hide");
  });
  const place = make("tbody", {}, make("tr", {}, make("td", { colSpan: 9 }, button)));
  return [place, body];
}

function rowOf(opinions, { title, normal, cells, disagree }) {
  const shown = cells.map((one, at) => {
    if (!one) return make("td", {}, "–");
    const [share, words] = inWords(opinions[at], one, normal);
    const node = make("td", {}, share, make("small", {}, words));
    node.dataset.positive = one.positive === true && !normal;
    return node;
  });
  const note = disagree ? [make("small", {}, " they disagree")] : [];
  const row = make("tr", {}, make("th", { scope: "row" }, title, ...note), ...shown);
  row.dataset.marked = disagree;
  return row;
}
