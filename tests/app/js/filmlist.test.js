import assert from "node:assert/strict";
import { test } from "node:test";

import { collect, isList, sorted } from "../../../assets/app/collect.js";
import { briefOf, chosenRows, csvOf, imageNames, jsonOf, verdictOf } from "../../../assets/app/filmlist.js";
import { rowsOf } from "../../../assets/app/listscores.js";

const LIMITS = { films: 3, bytes: 64e9, ratio: 200, film_bytes: 1000, suffixes: [".png", ".dcm"] };
const OPEN = { gate: "all", finding: "", findings: ["Mass", "Edema"], column: "", down: false, overruled: false };

function row(image, mass, edema, accepted = true, reasons = []) {
  return {
    path: `folder/${image}`, image, state: "read", thumbnail: "data:x", entry: {}, model: "m@1", warnings: [],
    probabilities: { Mass: mass, Edema: edema }, logits: { Mass: -1, Edema: 1.5 },
    positive: { Mass: mass > 0.5, Edema: null }, gate: { accepted, reasons, sentences: [] },
  };
}
const rows = [
  row("b.png", 0.2, 0.9),
  row("a.png", 0.8, 0.1, true, ["MIRRORED"]),
  row("c.png", 0.7, 0.3, false, ["NOT_A_CHEST_XRAY"]),
  { path: "folder/d.png", image: "d.png", state: "failed", error: "'d.png' is empty (0 bytes)." },
  { path: "folder/e.png", image: "e.png", state: "waiting", entry: {} },
];
const images = (choice) => chosenRows(rows, { ...OPEN, ...choice }).map(({ image }) => image[0]).join("");

test("rows are sorted by any column, and those without a value come last both ways", () => {
  assert.equal(images({}), "bacde");
  assert.equal(images({ column: "image" }), "abcde");
  assert.equal(images({ column: "Mass" }), "bacde"); // the refused film's number is withheld
  assert.equal(images({ column: "Mass", down: true }), "abcde");
  assert.equal(images({ column: "Mass", down: true, overruled: true }), "acbde");
});

test("filters by finding and gate; a refused film counts only when its numbers are asked for", () => {
  assert.equal(images({ finding: "Mass" }), "a");
  assert.equal(images({ finding: "any", overruled: true }), "ac");
  assert.equal(images({ finding: "none" }), "b");
  assert.deepEqual(["accepted", "remarks", "refused", "failed"].map((gate) => images({ gate })), ["ba", "a", "c", "d"]);
});

test("verdicts in words", () => {
  assert.deepEqual(rows.map(verdictOf), [
    "Accepted", "Accepted: mirrored", "Refused: not a chest film", "Not readable", "",
  ]);
});

test("the table holds every film that was read, quoted where need be", () => {
  const odd = { ...row('x, "y".png', 0.25, 1e-7), path: "x" };
  const lines = csvOf([...rows, odd]).trimEnd().split("\n");
  assert.equal(lines[0], "image,prob:Mass,prob:Edema,logit:Mass,logit:Edema,positive:Mass,positive:Edema," +
    "gate_accepted,gate_reasons,model");
  assert.equal(lines[1], "b.png,0.2,0.9,-1,1.5,0,,1,,m@1");
  assert.equal(lines[3], "c.png,0.7,0.3,-1,1.5,1,,0,NOT_A_CHEST_XRAY,m@1");
  assert.equal(lines[4], '"x, ""y"".png",0.25,1e-7,-1,1.5,0,,1,,m@1');
  assert.equal(csvOf([rows[3]]), "");
});

test("the JSON names what could not be read and keeps no picture", () => {
  const { films, unreadable } = JSON.parse(JSON.stringify(jsonOf(rows, [], "note")));
  assert.deepEqual(films.map(({ image }) => image), ["b.png", "a.png", "c.png"]);
  assert.ok(!("thumbnail" in films[0]) && !("entry" in films[0]));
  assert.deepEqual(unreadable, [{ path: "folder/d.png", error: "'d.png' is empty (0 bytes)." }]);
});

test("a card names the likeliest findings above their thresholds, the one sorted by first", () => {
  const chances = { Mass: 0.2, Nodule: 0.4, Hernia: 0.6, Edema: 0.5, Fibrosis: 0.1 };
  const above = { Mass: true, Nodule: true, Hernia: true, Edema: true, Fibrosis: false };
  const brief = (sortedBy) => briefOf({ probabilities: chances, positive: above }, Object.keys(chances), sortedBy);
  assert.deepEqual(brief("image"), { named: [["Hernia", true], ["Edema", true], ["Nodule", true]], more: 1 });
  assert.deepEqual(brief("Fibrosis"), { named: [["Fibrosis", false], ["Hernia", true], ["Edema", true]], more: 2 });
});

test("films are called by path only where names collide", () => {
  assert.deepEqual(imageNames(["a/1.png", "b/1.png", "b/2.png"]), ["a/1.png", "b/1.png", "2.png"]);
});

test("a single film is no list; two films or an archive are", () => {
  assert.deepEqual([[{ name: "a.png" }], [{ name: "a.zip" }], [{ name: "a" }, { name: "b" }]].map(isList), [
    false, true, true,
  ]);
});

test("files fall into films, labels and the rest by name", () => {
  const tables = ["l.csv.gz", "m.csv"];
  const paths = ["a.png", "IM1", "1.2.840.7", "x.txt", ...tables, "__MACOSX/b.png", ".b.png", "in.zip", "big.dcm"];
  const entries = paths.map((path) => ({ path, size: path === "big.dcm" ? 1001 : 1, why: "" }));
  const list = sorted(entries, LIMITS);
  assert.deepEqual(list.films.map(({ path }) => path), ["a.png", "IM1", "1.2.840.7"]);
  assert.equal(list.labels.name, "l.csv.gz");
  assert.deepEqual(list.skipped.map(({ path }) => path), ["x.txt", "m.csv", "in.zip", "big.dcm"]);
});

test("too many films, and none, are one sentence each", async () => {
  const file = (name) => ({ path: name, file: new File(["x"], name) });
  const four = ["a.png", "b.png", "c.png", "d.png"].map(file);
  await assert.rejects(collect(four, LIMITS), /4 films, and the most .* is 3/);
  await assert.rejects(collect([file("a.txt")], LIMITS), /no film/);
  const list = await collect([file("a.png"), file("damaged.zip")], LIMITS);
  assert.deepEqual([list.films.length, list.skipped[0].path], [1, "damaged.zip"]);
});

test("scores in words; what is undefined says why", () => {
  const about = { binary: false, findings: [{ name: "Mass", title: "Mass" }] };
  const auroc = { value: 0.81, low: 0.7, high: 0.9 };
  const rates = { sensitivity: 0.5, specificity: null, intervals: { sensitivity: [0.31, 0.69] } };
  const mass = { n_pos: 10, n_neg: 1000, auroc, ...rates, why: "specificity: no film; ppv: none" };
  assert.deepEqual(rowsOf(about, { findings: { Mass: mass, Other: { n_pos: 0, n_neg: 0 } } }), [
    {
      title: "Mass",
      cells: ["10", "1,000", "0.810 (0.700–0.900)", "50\u00a0% (31–69)", "undefined"],
      why: "specificity: no film",
    },
  ]);
});
