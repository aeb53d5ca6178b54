// The films on offer: drawn ones that ship with the project, real ones from a public dataset.

import { make } from "./dom.js";

export function showFilms(page) {
  page.part("examples").replaceChildren(...page.start.examples.map((example) => exampleButton(page, example)));
  showPublicFilms(page, page.start.films);
}

function exampleButton(page, { file, title, thumbnail }) {
  const button = make(
    "button",
    { type: "button", className: "example" },
    make("img", { src: thumbnail, alt: "" }),
    make("span", {}, title),
    make("span", { className: "badge" }, "synthetic"),
  );
  button.dataset.file = file;
  button.addEventListener("click", () => {
    page.read({ name: title, synthetic: true }, "Reading the example");
    page.trigger("ask_example", { file, model: page.modelName });
  });
  return button;
}

// Nothing of these is asked of the Hub before a click.
function showPublicFilms(page, films) {
  const dataset = page.start.films_of;
  page.part("real").hidden = !films.length && !dataset;
  const addresses = new Map(films.map((film) => [film.repo, film.url]));
  const link = ([repo, href]) => make("a", { href, target: "_blank", rel: "noopener" }, repo);
  const sources = films.length ? [...addresses].map(link) : [dataset];
  const credits = [...new Set(films.map((film) => `${film.credit}, ${film.licence}`))].join("; ");
  const how = " on the Hugging Face Hub, fetched when you choose one. ";
  page.part("real-source").replaceChildren("From ", ...sources, how, credits && credits + ".");
  const buttons = films.length ? films.map((film) => publicFilmButton(page, film)) : [listButton(page)];
  page.part("films").replaceChildren(...buttons);
}

function publicFilmButton(page, film) {
  const badge = make("span", { className: "badge" }, film.licence);
  const button = make("button", { type: "button" }, make("span", {}, film.title), badge);
  button.dataset.film = film.id;
  button.addEventListener("click", async () => {
    const name = [film.title, film.repo, film.licence].join(", ");
    page.read({ name, synthetic: false }, "Fetching the film from " + film.repo);
    const answer = await page.call("fetch_film", film.id);
    if (answer.kind === "error") page.fail(answer.message);
    else page.trigger("ask_example", { file: film.id, model: page.modelName });
  });
  return button;
}

function listButton(page) {
  const button = make("button", { type: "button" }, "List its films");
  button.addEventListener("click", async () => {
    button.disabled = true;
    const answer = await page.call("list_films", "");
    button.disabled = false;
    if (answer.kind === "error") page.fail(answer.message);
    else showPublicFilms(page, answer.films);
  });
  return button;
}
