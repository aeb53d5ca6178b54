import assert from "node:assert/strict";
import { test } from "node:test";

import { answerTo, decided, promise } from "../../../assets/app/decisions.js";
import * as words from "../../../assets/app/words.js";
import { chest, pneumonia, report, three } from "./facts.js";

const plain = (text) => text.replaceAll("\u00a0", " ");
const own = report({
  Effusion: [0.4, true, 0.3],
  Nodule: [0.1, false, 0.2],
  Hernia: [0.01, null, null],
  Mass: [0.5, true, 0.1],
});
const three_answers = {
  key: "risk=0.05",
  risk: 0.05,
  confidence: 0.9,
  out: { Effusion: 0.1, Nodule: 0.15, Hernia: null, Mass: 0.2 },
  into: { Effusion: 0.6, Nodule: 0.6, Hernia: 0.3, Mass: 0.4 },
  why: { Hernia: "never ruled out: 3 validation patients have it, and this promise needs 45" },
  patients: { Effusion: [60, 300], Nodule: [50, 310], Hernia: [3, 357], Mass: [70, 290] },
};

test("other thresholds give other answers to the same probabilities", () => {
  const rule = { key: "youden", thresholds: { Effusion: 0.45, Nodule: 0.05, Hernia: null, Mass: 0.1 } };
  const other = decided(own, rule);
  assert.deepEqual(other.positive, { Effusion: false, Nodule: true, Hernia: null, Mass: true });
  assert.deepEqual(other.probabilities, own.probabilities);
  assert.deepEqual(other.decided_by, { rule: "youden" });
  assert.equal(decided(own, { key: "own" }), own);
});

test("three answers, their marks and their order", () => {
  const other = decided(own, three_answers);
  assert.deepEqual(other.positive, { Effusion: null, Nodule: false, Hernia: null, Mass: true });
  assert.equal(plain(words.verdict(chest, other, "Mass")), "ruled in, above 40 %");
  assert.equal(plain(words.verdict(chest, other, "Nodule")), "ruled out, below 15 %");
  assert.equal(words.verdict(chest, other, "Effusion"), "unsure");
  assert.equal(words.summary(chest, other), "Of 4 findings: 1 ruled in, 1 ruled out and 2 unsure");
  assert.equal(words.byAlarm(chest, other)[0].name, "Mass");
});

test("one disease is ruled in, ruled out or unsure", () => {
  const limits = { key: "risk=0.05", out: { Normal: 0.2, Pneumonia: 0.4 }, into: { Normal: 0.6, Pneumonia: 0.8 } };
  const film = (share) => report({ Normal: [1 - share, share < 0.5, 0.5], Pneumonia: [share, share >= 0.5, 0.5] });
  const said = [0.3, 0.6, 0.9].map((share) => words.summary(pneumonia, decided(film(share), limits)));
  assert.deepEqual(said, ["Pneumonia: ruled out", "Pneumonia: unsure", "Pneumonia: ruled in"]);
});

test("what is promised, and what is not", () => {
  const other = decided(own, three_answers);
  assert.equal(
    plain(promise(chest, other, "Effusion")),
    "Effusion: of patients with it at most 5 % have a film ruled out (from 60 patients), and of those without it " +
      "at most 5 % have one ruled in (from 300). That holds at a confidence of 90 %, for patients like those.",
  );
  assert.match(promise(chest, other, "Hernia"), /one ruled in.* It is never ruled out: 3 validation patients have it/);
});

test("without thresholds the likeliest class is the answer", () => {
  const classes = { thresholds: { Normal: null, "Viral pneumonia": null } };
  const shares = { Normal: 0.4, "Viral pneumonia": 0.6 };
  assert.deepEqual([answerTo(classes, shares, "Normal"), answerTo(classes, shares, "Viral pneumonia")], [false, true]);
  assert.equal(three.decisions.length, 0);
});
