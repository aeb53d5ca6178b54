// What a visitor can take home: the numbers, and the film with the map over it.

import { make } from "./dom.js";
import { METHODS } from "./heatmap.js";
import { findingOf, nothing, percent } from "./words.js";

export function offerDownloads(page, heatmap) {
  page.part("save-json").addEventListener("click", () => saveNumbers(page));
  page.part("save-png").addEventListener("click", () => page.map && saveOverlay(page, heatmap));
}

function save(name, blob) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const stem = (page) => page.film.name.replace(/[.][^.]*$/, "") || "film";

function saveNumbers(page) {
  const { film, ...rest } = page.result.report;
  const values = page.worth ? { predictive_values: page.worth } : {};
  const text = JSON.stringify({ film: { ...page.film, ...film }, ...rest, ...values }, null, 2);
  save(`${stem(page)}-${page.about.name}.json`, new Blob([text], { type: "application/json" }));
}

// At the film's own size, with a caption in its lower edge.
async function saveOverlay(page, heatmap) {
  const { width, height } = page.result.report.film;
  const name = [stem(page), page.finding.replaceAll(" ", "_"), page.method].join("-") + ".png";
  const lines = caption(page, heatmap.isQuiet);
  const src = (await page.server.large_picture(page.token)) || page.part("image").src;
  const picture = make("img", { src });
  await picture.decode();
  const sheet = make("canvas", { width, height });
  const pen = sheet.getContext("2d");
  pen.drawImage(picture, 0, 0, width, height);
  if (!heatmap.isQuiet) {
    const layer = make("canvas", { width, height });
    layer.getContext("2d").putImageData(heatmap.picture(width, height), 0, 0);
    pen.globalAlpha = page.part("opacity").value / 100;
    pen.drawImage(layer, 0, 0);
    pen.globalAlpha = 1;
  }
  write(pen, lines, width, height);
  sheet.toBlob((blob) => save(name, blob));
}

function caption(page, quiet) {
  const entry = findingOf(page.about, page.finding);
  const probability = `${entry.title} ${percent(page.result.report.probabilities[entry.name])}`;
  const model = page.about.name + (page.about.synthetic ? " (learned from synthetic films)" : "");
  const first = [probability, METHODS[page.method], model].join(", ") + (quiet ? ". " + nothing(entry) : "");
  const refused = page.result.report.gate.overruled ? "Refused by the input gate, analysed all the same. " : "";
  return [first, refused + (page.film.synthetic ? "Synthetic film. " : "") + page.start.note];
}

function write(pen, lines, width, height) {
  const size = Math.max(9, Math.round(width / 60));
  pen.font = size + "px system-ui, sans-serif";
  pen.fillStyle = "rgba(0, 0, 0, 0.6)";
  pen.fillRect(0, height - size * 3.2, width, size * 3.2);
  pen.fillStyle = "#fff";
  lines.forEach((line, at) => pen.fillText(line, size * 0.7, height - size * (1.9 - 1.25 * at), width - 1.4 * size));
}
