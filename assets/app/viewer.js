// The page. Every answer of the server is one object, told apart by its `kind`: about, result, map or error.

import { offerDownloads } from "./downloads.js";
import { showFilms } from "./films.js";
import { Heatmap } from "./heatmap.js";
import { watchFilmInput } from "./input.js";
import { watchLearning } from "./learn.js";
import { watchModes } from "./modes.js";
import { Models } from "./models.js";
import { Page } from "./page.js";
import { Result } from "./result.js";

/**
 * Set up the page in Gradio's element.
 * @returns a function that shows an answer of the server
 */
export function openViewer(gradio) {
  muteGradio();
  const page = new Page(gradio);
  const models = new Models(page);
  const heatmap = new Heatmap(page);
  const result = new Result(page, heatmap, models);
  watchModes(page);
  watchLearning(page);
  showFilms(page);
  watchFilmInput(page);
  offerDownloads(page, heatmap);
  // Gradio's own page for programs; its link sits in a footer that this page replaces.
  page.part("api").addEventListener("click", () => document.querySelector("footer .show-api")?.click());

  const answers = {
    start: () => {},
    about: (answer) => models.receive(answer),
    result: (answer) => result.receive(answer),
    map: (answer) => heatmap.receive(answer),
    error: (answer) => {
      if ("previous_token" in answer && page.about) models.refuse(answer);
      else if (answer.asked) heatmap.refuse(answer);
      else page.fail(answer.message);
    },
  };
  return (answer) => answers[answer.kind](answer);
}

// Gradio's event stream warns of this at the end of every answer, although nothing is wrong.
function muteGradio() {
  const warn = console.warn;
  console.warn = (...words) => words[0] === "Method not implemented." || warn(...words);
}
