// What a visitor can take home: the numbers, and the film with the map over it.

import { make } from "./dom.js";
import { erasedInWords } from "./erase.js";
import { METHODS, ONE_SCALE } from "./heatmap.js";
import { caveat } from "./rulers.js";
import { scaleBar } from "./viewport.js";
import { findingOf, outsideInWords, percent } from "./words.js";

const READABLE = 720; // pixels; a narrower film is enlarged, or its caption could not be read
const FAINT = 0.45; // of the opacity, as in viewer.css

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
  const erased = page.erased && { box: page.erased.box, findings: page.erased.findings };
  const values = page.worth ? { predictive_values: page.worth } : {};
  const content = { film: { ...page.film, ...film }, ...rest, ...(erased && { erased }), ...values };
  const text = JSON.stringify(content, null, 2);
  save(`${stem(page)}-${page.about.name}.json`, new Blob([text], { type: "application/json" }));
}

// The film as read, in the visitor's window, with its map at its own size (small films enlarged); below it the colours
// with their values, a scale bar, and a caption.
async function saveOverlay(page, heatmap) {
  const { film } = page.result.report;
  const zoom = Math.max(1, Math.ceil(READABLE / film.width));
  const [width, height] = [zoom * film.width, zoom * film.height];
  const name = [stem(page), page.finding.replaceAll(" ", "_"), page.method].join("-") + ".png";
  const picture = page.screen.grey ? page.screen.whole() : await largePicture(page);
  const sheet = make("canvas", { width, height });
  const pen = sheet.getContext("2d");
  const spacing = page.screen.facts?.spacing;
  const bar = spacing ? scaleBar(spacing.column_mm / zoom, width / 6) : null;
  const text = new Caption(pen, caption(page, heatmap), heatmap.isQuiet ? null : heatmap, bar);
  sheet.height += text.height; // which empties the sheet
  pen.drawImage(picture, 0, 0, width, height);
  if (!heatmap.isQuiet) {
    const layer = make("canvas", { width, height });
    layer.getContext("2d").putImageData(heatmap.picture(width, height), 0, 0);
    drawLayer(pen, layer, (page.part("opacity").value / 100) * (heatmap.isFaint ? FAINT : 1), heatmap.isFaint);
  }
  if (heatmap.chest) outlineChest(pen, heatmap.chest, width, height);
  heatmap.boxes.forEach((box) => outline(pen, box, width, height));
  if (page.erased) outline(pen, page.erased.box, width, height, [width / 60, width / 90]);
  text.write(height);
  sheet.toBlob((blob) => save(name, blob));
}

// Of a film that is too large for the page to window it.
async function largePicture(page) {
  const src = (await page.server.large_picture(page.token)) || page.part("image").src;
  const picture = make("img", { src });
  await picture.decode();
  return picture;
}

function drawLayer(pen, layer, opacity, faint) {
  pen.save();
  pen.beginPath();
  pen.rect(0, 0, layer.width, layer.height);
  pen.clip();
  Object.assign(pen, { globalAlpha: opacity, filter: faint ? `blur(${layer.width / 100}px)` : "none" });
  pen.drawImage(layer, 0, 0);
  pen.restore();
}

function outline(pen, [left, top, right, bottom], width, height, dashes = []) {
  pen.save();
  pen.setLineDash(dashes);
  for (const [colour, thickness] of [["#000", width / 150], [dashes.length ? "#7fe3f2" : "#fff", width / 300]]) {
    Object.assign(pen, { strokeStyle: colour, lineWidth: thickness });
    pen.strokeRect(left * width, top * height, (right - left) * width, (bottom - top) * height);
  }
  pen.restore();
}

function outlineChest(pen, corners, width, height) {
  pen.save();
  Object.assign(pen, { strokeStyle: "#7fe3f2", lineWidth: width / 400 });
  pen.setLineDash([width / 80, width / 120]);
  pen.beginPath();
  corners.forEach(([x, y]) => pen.lineTo(x * width, y * height));
  pen.closePath();
  pen.stroke();
  pen.restore();
}

function caption(page, heatmap) {
  const quiet = heatmap.isQuiet;
  const entry = findingOf(page.about, page.finding);
  const probability = `${entry.title} ${percent(page.result.report.probabilities[entry.name])}`;
  const model = page.about.name + (page.about.synthetic ? " (learned from synthetic films)" : "");
  const first = [probability, METHODS[page.method], model].join(", ") + (quiet ? ". " + heatmap.quietWords : "");
  const refused = page.result.report.gate.overruled ? "Refused by the input gate, analysed all the same. " : "";
  const last = refused + (page.film.synthetic ? "Synthetic film. " : "") + page.start.note;
  const erased = page.erased ? [erasedInWords(page.about, page.result.report, page.erased.findings, entry.name)] : [];
  const shown = [page.screen.windowInWords, page.screen.facts?.spacing && caveat(page.screen.facts.spacing)];
  return [first, ...heatmap.notes, outsideInWords(page.map), ...erased, ...shown, last].filter(Boolean);
}

/** The colours with their values, and lines of text, on a dark strip below a picture. */
class Caption {
  constructor(pen, lines, heatmap, bar) {
    const { width } = pen.canvas;
    this.size = Math.round(width / 60);
    const room = width - 1.4 * this.size;
    Object.assign(this, { pen, heatmap, bar, width, room, font: this.size + "px system-ui, sans-serif" });
    pen.font = this.font;
    this.rows = lines.flatMap((line) => wrapped(pen, line, room));
    this.legend = heatmap || bar ? 3.4 * this.size : 0;
    this.height = Math.ceil(this.legend + this.size * (1.3 * this.rows.length + 1.2));
  }

  write(top) {
    const { pen, size, rows, legend, width, height, room } = this;
    Object.assign(pen, { font: this.font, fillStyle: "#14181d" });
    pen.fillRect(0, top, width, height);
    if (this.heatmap) this.drawScale(0.7 * size, top + 0.9 * size, Math.min(room / 2, 26 * size));
    if (this.bar) this.drawBar(width - 0.7 * size, top + 1.8 * size);
    pen.fillStyle = "#fff";
    rows.forEach((row, at) => pen.fillText(row, 0.7 * size, top + legend + size * (1.3 * at + 1.5), room));
  }

  drawBar(right, top) {
    const { pen, bar, size } = this;
    Object.assign(pen, { fillStyle: "#fff", textAlign: "right" });
    pen.fillRect(right - bar.length, top - size / 4, bar.length, size / 4);
    for (const at of [right - bar.length, right - size / 8]) pen.fillRect(at, top - 0.8 * size, size / 8, 0.8 * size);
    pen.fillText(bar.mm >= 10 ? `${bar.mm / 10} cm` : `${bar.mm} mm`, right, top + 1.3 * size);
    pen.textAlign = "left";
  }

  drawScale(left, top, length) {
    const { pen, heatmap, size } = this;
    const zero = heatmap.againstIsShown ? length / 2 : 0;
    for (let x = 0; x < length; x++) {
      const share = x < zero ? 1 - x / zero : (x - zero) / (length - zero);
      const word = (x < zero ? heatmap.blues : heatmap.colours)[Math.round(255 * Math.min(1, share))];
      const colour = `rgb(${word & 255} ${(word >> 8) & 255} ${(word >> 16) & 255} / ${(word >>> 24) / 255})`;
      for (const fillStyle of ["#8a8f94", colour]) { // a film's grey beneath, as on the page
        pen.fillStyle = fillStyle;
        pen.fillRect(left + x, top, 1, 0.9 * size);
      }
    }
    pen.fillStyle = "#fff";
    const last = heatmap.ticks.length - 1;
    heatmap.ticks.forEach((tick, at) => {
      pen.textAlign = at === 0 ? "left" : at === last ? "right" : "center";
      pen.fillText(tick, left + (at / last) * length, top + 2.2 * size);
    });
    pen.textAlign = "left";
    if (heatmap.page.map.scale === "logit") pen.fillText(ONE_SCALE, left + length + size, top + 0.8 * size);
  }
}

/** A line broken where it would grow wider than `room`. */
function wrapped(pen, line, room) {
  const rows = [""];
  for (const word of line.split(" ")) {
    const longer = rows.at(-1) + (rows.at(-1) && " ") + word;
    if (rows.at(-1) && pen.measureText(longer).width > room) rows.push(word);
    else rows[rows.length - 1] = longer;
  }
  return rows;
}
