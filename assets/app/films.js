// The shelf of films: drawn ones that ship with the project, real ones from a public dataset.

part("examples").replaceChildren(...start.examples.map((example) => {
  const button = make("button", { type: "button", className: "example" }, make("img", { src: example.thumbnail, alt: "" }), make("span", {}, example.title), make("span", { className: "badge" }, "synthetic"));
  button.dataset.file = example.file;
  button.addEventListener("click", () => {
    letGo();
    Object.assign(state, { name: example.title, synthetic: true });
    enter("reading", "Reading the example");
    trigger("ask_example", { file: example.file, model: part("model").value });
  });
  return button;
}));

// Nothing of these is asked for before a click.
function offerFilms(films) {
  part("real").hidden = !films.length && !start.films_of;
  const repos = [...new Set(films.map((film) => film.repo))];
  const links = repos.map((repo) => make("a", { href: films.find((film) => film.repo === repo).url, target: "_blank", rel: "noopener" }, repo));
  const credits = [...new Set(films.map((film) => film.credit + ", " + film.licence))].join("; ");
  part("real-source").replaceChildren("From ", ...(links.length ? links : [start.films_of]), " on the Hugging Face Hub, fetched when you choose one. ", credits && credits + ".");
  part("films").replaceChildren(...films.map((film) => {
    const button = make("button", { type: "button" }, make("span", {}, film.title), make("span", { className: "badge" }, film.licence));
    button.dataset.film = film.id;
    button.addEventListener("click", () => fetchFilm(film));
    return button;
  }));
  if (films.length) return;
  const button = make("button", { type: "button" }, "List its films");
  button.addEventListener("click", async () => {
    button.disabled = true;
    const answer = await server.list_films("").catch(() => ({ kind: "error", message: "The server did not answer. Please try again." }));
    button.disabled = false;
    if (answer.kind === "error") return fail(answer.message);
    offerFilms(answer.films);
  });
  part("films").append(button);
}

async function fetchFilm(film) {
  letGo();
  Object.assign(state, { name: film.title + ", " + film.repo + ", " + film.licence, synthetic: false });
  enter("reading", "Fetching the film from " + film.repo);
  const answer = await server.fetch_film(film.id).catch(() => ({ kind: "error", message: "The server did not answer. Please try again." }));
  if (answer.kind === "error") return fail(answer.message);
  trigger("ask_example", { file: film.id, model: part("model").value });
}

offerFilms(start.films);
