// The table of a list of films: a hundred rows at a time, sorted by a click on a heading.

import { make } from "./dom.js";
import { briefOf, chosenRows, isShown, verdictOf } from "./filmlist.js";
import { count, diseases, percent } from "./words.js";

const ROWS = 100;

export class ListTable {
  /** @param open called with the row whose film is to be opened */
  constructor(page, open) {
    this.page = page;
    this.open = open;
    this.first = 0;
    this.lines = new WeakMap(); // row -> its element, and what that shows
    this.sort = { column: "", down: false };
    for (const name of ["list-finding", "list-gate", "list-overruled"]) {
      page.part(name).addEventListener("change", () => this.turn(0));
    }
    page.part("list-sort").addEventListener("change", ({ target }) => this.sortBy(target.value));
    page.part("list-back").addEventListener("click", () => this.turn(this.first - ROWS));
    page.part("list-forward").addEventListener("click", () => this.turn(this.first + ROWS));
  }

  /** Another list: its rows are shown as they come, by the findings of the model that reads them. */
  begin(rows, about) {
    Object.assign(this, { rows, about, first: 0, sort: { column: "", down: false } });
    const named = diseases(about).map(({ name, title }) => make("option", { value: name }, title));
    const some = [["", "Any film"], ["any", "Any finding"], ["none", "No finding"]];
    const options = some.map(([value, words]) => make("option", { value }, words));
    this.page.part("list-finding").replaceChildren(...options, ...named);
    this.page.part("list-gate").value = "all";
    this.page.part("list-overruled").checked = false;
    this.show();
  }

  /** The rows that pass the filters, in their order. */
  get chosen() {
    const { page, about, sort } = this;
    const [finding, gate] = ["list-finding", "list-gate"].map((name) => page.part(name).value);
    const findings = diseases(about).map(({ name }) => name);
    return chosenRows(this.rows, { ...sort, finding, findings, gate, overruled: this.overruled });
  }

  get overruled() {
    return this.page.part("list-overruled").checked;
  }

  turn(first) {
    this.first = Math.max(0, first);
    this.show();
  }

  show() {
    const { page } = this;
    const chosen = this.chosen;
    if (this.first >= chosen.length) this.first = 0;
    const rows = chosen.slice(this.first, this.first + ROWS);
    const table = page.part("list-table");
    const columns = this.columns;
    this.heading(table.tHead, columns);
    const [body, lines] = [table.tBodies[0], rows.map((row) => this.line(row, columns))];
    const other = lines.length !== body.rows.length || lines.some((line, k) => line !== body.rows[k]);
    if (other) body.replaceChildren(...lines);
    const all = this.rows.length;
    const some = chosen.length === all ? "" : `${count(chosen.length)} of ${count(all)} films`;
    page.part("list-count").textContent = some;
    page.part("list-pager").hidden = chosen.length <= ROWS;
    page.part("list-page").textContent =
      `${count(this.first + 1)} to ${count(this.first + rows.length)} of ${count(chosen.length)}`;
    page.part("list-back").disabled = !this.first;
    page.part("list-forward").disabled = this.first + ROWS >= chosen.length;
  }

  get columns() {
    const labelled = this.rows.some((row) => row.labelled) ? [["labelled", "Labelled"]] : [];
    const findings = diseases(this.about).map(({ name, title }) => [name, title]);
    return [["image", "Film"], ["gate", "Gate"], ...labelled, ...findings];
  }

  // Made once a list, so that a heading keeps the focus while rows come in.
  heading(head, columns) {
    const key = columns.map(([name]) => name).join();
    if (head.dataset.key !== key) {
      head.dataset.key = key;
      head.replaceChildren(make("tr", {}, ...columns.map(([name, title]) => this.headingCell(name, title))));
      const options = columns.map(([value, title]) => make("option", { value }, title));
      this.page.part("list-sort").replaceChildren(make("option", { value: "" }, "As dropped"), ...options);
    }
    this.page.part("list-sort").value = this.sort.column;
    for (const cell of head.querySelectorAll("th")) {
      const sorted = cell.dataset.column === this.sort.column;
      cell.setAttribute("aria-sort", sorted ? (this.sort.down ? "descending" : "ascending") : "none");
    }
  }

  headingCell(name, title) {
    const button = make("button", { type: "button" }, title);
    const cell = make("th", { scope: "col" }, button);
    cell.dataset.column = name;
    button.addEventListener("click", () => this.sortBy(name));
    return cell;
  }

  // By the same column again: the other way round.
  sortBy(name) {
    const { column, down } = this.sort;
    const number = !["", "image", "gate", "labelled"].includes(name); // the highest first
    this.sort = { column: name, down: column === name ? !down : number };
    this.turn(0);
  }

  // A row's element is made again only where what it shows has changed.
  line(row, columns) {
    const key = [row.state, this.overruled, columns.length, row.labelled, this.sort.column].join();
    const known = this.lines.get(row);
    if (known?.key === key) return known.line;
    const line = this.row(row, columns);
    this.lines.set(row, { key, line });
    return line;
  }

  row(row, columns) {
    const cells = columns.slice(1).map(([name]) => this.cell(row, name));
    const line = make("tr", {}, this.filmCell(row), ...cells, this.briefCell(row));
    line.dataset.state = row.state;
    line.dataset.path = row.path;
    return line;
  }

  filmCell(row) {
    const blank = make("span", { className: "blank" });
    const picture = row.thumbnail ? make("img", { src: row.thumbnail, alt: "" }) : blank;
    const button = make("button", { type: "button", className: "link", title: row.path }, row.image);
    button.addEventListener("click", () => this.open(row));
    return make("th", { scope: "row" }, make("div", { className: "film-name" }, picture, button));
  }

  // In place of a column a finding, where the screen is narrow.
  briefCell(row) {
    const cell = make("td", { className: "brief" });
    if (!isShown(row, this.overruled)) return cell;
    const titles = new Map(diseases(this.about).map(({ name, title }) => [name, title]));
    const { named, more } = briefOf(row, [...titles.keys()], this.sort.column);
    const words = named.map(([name, above]) => {
      const className = above ? "above" : "";
      return make("span", { className }, `${titles.get(name)} ${percent(row.probabilities[name])}`);
    });
    if (more) words.push(make("span", {}, `and ${more} more`));
    cell.append(...(words.length ? words : ["No finding above its threshold"]));
    return cell;
  }

  cell(row, name) {
    if (name === "gate") return make("td", { className: "words", title: gateHelp(row) }, verdictOf(row));
    if (name === "labelled") return make("td", { className: "words" }, labelWords(row));
    if (!isShown(row, this.overruled)) return make("td", {}, row.state === "read" ? "–" : "");
    const cell = make("td", {}, percent(row.probabilities[name]));
    cell.classList.toggle("above", row.positive[name] === true);
    return cell;
  }
}

function gateHelp(row) {
  return row.state === "read" ? [...row.gate.sentences, ...row.warnings].join(" ") : row.error || "";
}

function labelWords({ labelled }) {
  if (!labelled) return "";
  return labelled.length ? labelled.map((name) => name.replaceAll("_", " ")).join(", ") : "none of these";
}
