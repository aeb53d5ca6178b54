import assert from "node:assert/strict";
import { test } from "node:test";

import * as words from "../../../assets/app/words.js";
import { chest, finding, pneumonia, report, three } from "./facts.js";

const plain = (text) => text.replaceAll("\u00a0", " ");

test("a probability is never 0 or 100 per cent", () => {
  const shown = [0, 0.0004, 0.0005, 0.4567, 0.9995, 0.9996, 1].map((share) => plain(words.percent(share)));
  assert.deepEqual(shown, ["< 0.1 %", "< 0.1 %", "0.1 %", "45.7 %", "> 99.9 %", "> 99.9 %", "> 99.9 %"]);
});

test("thresholds, logits and counts have the digits that they can bear", () => {
  assert.deepEqual([0.044, 0.8].map((share) => plain(words.wholePercent(share))), ["4.4 %", "80 %"]);
  assert.deepEqual([0.123, 1.23, 12.3].map(words.logits), ["0.12", "1.2", "12"]);
  assert.equal(words.count(25596), "25,596");
});

test("a list reads as a sentence", () => {
  assert.equal(words.listed(["a"]), "a");
  assert.equal(words.listed(["a", "b", "c"]), "a, b and c");
});

test("a message begins large and ends with a stop, but a name stays as it is", () => {
  assert.equal(words.sentence("there is no model"), "There is no model.");
  assert.equal(words.sentence("user/repo has no weights"), "user/repo has no weights.");
  assert.equal(words.sentence("Try again!"), "Try again!");
  assert.equal(words.sentence(""), "");
});

test("the summary counts the findings above their threshold", () => {
  const rows = (...positive) =>
    report(Object.fromEntries(chest.findings.map(({ name }, at) => [name, [0.1 * at, positive[at], 0.5]])));
  const none = "No finding reaches its alarm threshold";
  assert.equal(words.summary(chest, rows(false, false, false, false)), none);
  assert.equal(words.summary(chest, rows(false, false, false, null)), none + "; 1 has none");
  assert.equal(words.summary(chest, rows(false, false, null, null)), none + "; 2 have none");
  assert.equal(words.summary(chest, rows(true, false, false, false)), "Effusion is above its alarm threshold");
  const two = "2 of 4 findings are above their alarm threshold";
  assert.equal(words.summary(chest, rows(true, true, false, false)), two);
  assert.equal(plain(words.summary(chest, rows(null, null, null, null))), "Highest: Mass, 30.0 %");
});

test("no evidence is said in words", () => {
  assert.equal(words.nothing(finding("Pneumonia")), "Nothing on this film stands out for pneumonia.");
  assert.equal(words.nothing(finding("Normal", { normal: true })), "Nothing on this film stands out as normal.");
  const alarm = plain(words.nothing(finding("Pneumonia"), report({ Pneumonia: [0.9, true, 0.5] })));
  assert.equal(alarm, "The map for pneumonia is no stronger than in 95 % of other films.");
});

test("the strength of a map has a unit and a comparison", () => {
  const map = { method: "gradcam", scale: "logit", strength: 1.72, evidence: true, evidence_level: 1.61 };
  const evidence = (more) => plain(words.evidence({ ...map, ...more }));
  assert.equal(evidence({}), "Strength of this map: 1.7 logits; 95 % of films without it stay below 1.6.");
  assert.match(evidence({ evidence: null }), /was not measured for this model/);
  assert.match(evidence({ method: "random" }), /knows nothing of this film/);
  assert.match(evidence({ method: "layercam", scale: "relative" }), /has no unit/);
});

test("the scale names its unit and its end", () => {
  const map = { scale: "logit", ceiling: 19, rows: [[3, -19]] };
  assert.deepEqual(words.ticks(map, 19, false), ["0", "19 logits"]);
  assert.deepEqual(words.ticks(map, 4.4, true), ["−4.4 or less", "0", "4.4 logits"]);
  const alone = { scale: "logit", rows: [[-2.5]] };
  assert.deepEqual(words.ticks(alone, 2.5, true), ["−2.5", "0", "2.5 logits, the most here"]);
  assert.deepEqual(words.ticks({ scale: "relative" }, 1, false), ["least", "most, on this map alone"]);
});

test("a map's parts for and against add up to its logit", () => {
  const map = { finding: "Effusion", scale: "logit", rows: [[3, -1], [0.5, -4.5]], bias: 0.25, target: -0.25 };
  const known = report({ Effusion: [0.3, false, 0.5] });
  const told = (about) => words.sumInWords(map, about, known).replaceAll("\u00a0", " ");
  const parts = "Over the whole film: +0.88 for, −1.38 against, +0.25 constant. ";
  assert.equal(told(chest), parts + "The sum is the logit, −0.25 (calibrated: 30.0 %).");
  assert.match(told(three), /its logit less the mean of the others, −0\.25/);
  assert.equal(words.sumInWords({ ...map, scale: null }, chest, known), "");
});

test("evidence outside the chest is flagged where most of it lies there, and the map shows evidence at all", () => {
  const map = { scale: "logit", evidence: true, outside: 0.64, chest: [[0.2, 0.1], [0.8, 0.1], [0.5, 0.7]] };
  assert.match(words.outsideInWords(map), /^64\u00a0% .* outside the chest as outlined/);
  assert.match(words.outsideInWords({ ...map, chest: null }), /^64\u00a0% .* central 80 %; the chest could not/);
  for (const other of [{ outside: 0.5 }, { outside: null }, { evidence: false }, { scale: null }]) {
    assert.equal(words.outsideInWords({ ...map, ...other }), "");
  }
});

test("how to read names the patients that the model learned from, unless they were drawn", () => {
  const known = report({ Effusion: [0.7, true, 0.5], Nodule: [0.2, null, null] });
  const who = "It learned from films of adults of one hospital. It has seen no other patients";
  const text = words.howToRead(chest, known);
  assert.match(text, /The mark is its alarm threshold, where one is known\./);
  assert.ok(text.includes(who));
  assert.ok(!words.howToRead({ ...chest, population: "" }, known).includes("It learned"));
  const without = report({ Pneumonia: [0.7, null, null] });
  assert.match(words.howToRead(pneumonia, without), /it calls nothing positive\. /);
  assert.match(words.howToRead(three, known), /The longest one wins/);
});

test("the facts of a film", () => {
  const film = { width: 1024, height: 900, encoding: "PNG", bits: 12, bits_stored: 16 };
  const facts = "a.png · 1024 × 900 · PNG, 12 of 16 bit used · answered in 123 ms";
  assert.equal(words.filmFacts({ film }, 0.1234, "a.png"), facts);
  assert.match(words.filmFacts({ film: { ...film, bits: 16 } }, 1, ""), /^1024 × 900 · PNG, 16 bit · /);
});

test("of several findings those above their threshold come first, however rare they are", () => {
  const known = report({ Effusion: [0.4, false, 0.5], Nodule: [0.1, true, 0.05], Hernia: [0.02, true, 0.01] });
  const about = { ...chest, findings: chest.findings.filter(({ name }) => name in known.probabilities) };
  assert.deepEqual(words.byAlarm(about, known).map(({ name }) => name), ["Nodule", "Hernia", "Effusion"]);
  const two = report({ Normal: [0.3, true, 0.2], Pneumonia: [0.7, false, 0.8] });
  assert.deepEqual(words.byAlarm(pneumonia, two).map(({ name }) => name), ["Pneumonia", "Normal"]);
});

test("a drawn film is said to be drawn, and which model reads it", () => {
  const drawings = { ...chest, name: "phantom", synthetic: true };
  assert.match(words.drawnFilm(chest, null), /drawn by a program and shows nobody.*means nothing/);
  assert.match(words.drawnFilm(drawings, "nih14"), /phantom, which learned from such drawings.*nih14 again/);
  assert.ok(!words.drawnFilm(drawings, null).includes("again"));
});

test("a correction is offered in words, and told once it was made", () => {
  assert.equal(words.correction({ turn: 2, invert: false }), "Turn it by 180°");
  assert.equal(words.correction({ turn: 3, invert: true }), "Turn it by 90° to the right and exchange black and white");
  assert.equal(words.correction({ turn: 0, invert: true }, true), "black and white exchanged");
  assert.equal(words.correction({ turn: 0, invert: false }), "");
});

test("why findings are withheld", () => {
  assert.equal(words.refusal({ reasons: ["NOT_A_CHEST_XRAY"] }), "Not a film that this model can read");
  assert.equal(words.refusal({ reasons: ["ROTATED"] }), "The film is not as this model expects it");
  assert.equal(words.refusal({ reasons: ["LATERAL_VIEW"] }), "This model cannot read this view");
});
