// The film of a case: handled as in the viewer; boxes of the reader and of the truth, and the model's map, lie on it.

import { boxBetween, BoxTool, place } from "./boxes.js";
import { make } from "./dom.js";
import { Handling } from "./handling.js";
import { mapColours, paintMap } from "./heatmap.js";

const FIRST = [0.35, 0.35, 0.65, 0.65]; // where a box begins: shares of the film, or of what is in sight of it

export class CaseFilm extends Handling {
  /** @param done called with a box, or with null where drawing was given up */
  constructor(page, done) {
    super(page, page.part("learn-left"), document);
    this.colours = mapColours(page);
    const preview = make("span", { className: "learn-box learn-yours" });
    page.part("learn-draw").append(preview);
    this.tool = new BoxTool(page.part("learn-draw"), this.screen, (box) => place(preview, box), done);
  }

  get takesKeys() {
    const { mode } = this.page.root.dataset;
    return mode === "learn" && ["read", "model", "truth"].includes(this.page.part("learn").dataset.stage);
  }

  /** Show a film; nothing is drawn on it yet. */
  async show(film) {
    const { page, screen } = this;
    page.part("learn-draw").hidden = true;
    this.begin(screen, film);
    this.boxes([]);
    this.map(null);
    screen.picture.src = film.picture;
    await Promise.all([screen.picture.decode(), screen.receive(film)]);
    this.showState();
  }

  /** Draw boxes: [kind, title, corners] each, kind "yours" or "true". */
  boxes(boxes) {
    const nodes = boxes.map(([kind, title, corners]) => {
      const node = make("span", { className: `learn-box learn-${kind}` }, make("span", {}, title));
      place(node, corners);
      return node;
    });
    this.page.part("learn-boxes").replaceChildren(...nodes);
  }

  /** Draw a map over the film; null: none. */
  map(map, title = "") {
    const canvas = this.page.part("learn-map");
    canvas.hidden = !map;
    canvas.setAttribute("aria-label", map ? `Map of the model for ${title}` : "No map is shown");
    paintMap(canvas, map, this.screen.film, this.colours);
  }

  /** Let the reader draw one box for a finding. */
  draw(title) {
    const { screen, tool } = this;
    const { width, height } = screen.room;
    const corners = [FIRST.slice(0, 2), FIRST.slice(2)].map(([x, y]) => screen.shareAt([x * width, y * height]));
    const keys = "Drag on the film; or arrow keys move the box, with Shift they change its size, Enter sets it.";
    tool.layer.setAttribute("aria-label", `Box for ${title}. ${keys} Escape gives up.`);
    tool.begin(screen.view ? boxBetween(...corners) : FIRST);
  }
}
