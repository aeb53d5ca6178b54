// The words and numbers of a round of reading.

import assert from "node:assert/strict";
import { test } from "node:test";

import { addressIn, phantoms, phantomsOf, Stopwatch } from "../../../assets/app/rounds.js";
import {
  areaInWords,
  changesInWords,
  confidenceInWords,
  differs,
  modelInWords,
  shareInWords,
  timeInWords,
  verdictOf,
} from "../../../assets/app/roundwords.js";

const plain = (text) => text.replaceAll("\u00a0", " ");

test("a fragment names a set", () => {
  assert.equal(addressIn("#learn=phantoms-20-7"), "phantoms-20-7");
  assert.equal(addressIn("#learn=user/set@main/a%20b.zip"), "user/set@main/a b.zip");
  assert.equal(addressIn("#learn=%zz"), "%zz");
  for (const fragment of ["#learn", "#film", "", "#learning=x"]) assert.equal(addressIn(fragment), "");
  assert.deepEqual(phantomsOf(phantoms(20, 7)), { count: 20, seed: 7 });
  assert.equal(phantomsOf("week-1"), null);
});

test("an answer is right, wrong, undecided, or beside no truth", () => {
  assert.deepEqual(
    [[0.75, true], [0.75, false], [0.25, false], [0, true], [0.5, true], [1, null]].map((pair) => verdictOf(...pair)),
    ["right", "wrong", "right", "wrong", "undecided", "unknown"],
  );
  assert.deepEqual([0, 0.75, 0.6].map(confidenceInWords), ["absent", "likely", "60 of 100"]);
});

test("the model's answer stands beside the reader's", () => {
  const model = { probabilities: { Mass: 0.26, Hernia: 0.01 }, positive: { Mass: true, Hernia: null } };
  assert.equal(plain(modelInWords(model, "Mass")), "Model: 26.0 %, above its threshold");
  assert.equal(plain(modelInWords(model, "Hernia")), "Model: 1.0 %");
  assert.equal(modelInWords(model, "Nodule"), "");
  assert.deepEqual([differs(0, true), differs(0.75, true), differs(0.75, false), differs(0, null)],
    [true, false, true, false]);
});

test("scores have their interval, or say why not", () => {
  assert.equal(plain(shareInWords({ value: 0.8, low: 0.49, high: 0.943 })), "80 % (49 to 94 %)");
  assert.equal(plain(shareInWords({ value: null, low: null, high: null, why: "no film has the finding" })),
    "none: no film has the finding");
  assert.equal(areaInWords({ value: 0.871, low: 0.7, high: 0.95 }), "0.87 (0.70 to 0.95)");
  assert.equal(areaInWords({ value: 1, low: null, high: null, why: "x" }), "1.00");
  assert.deepEqual([4.4, 125, null].map(timeInWords), ["4 s", "2 min 5 s", "not measured"]);
});

test("changes are told for and against the truth", () => {
  const changed = { answers: 20, towards_truth: 3, away_from_truth: 1, calls_corrected: 2, calls_spoiled: 0 };
  const gain = { difference: { value: -0.06, low: -0.16, high: 0.05 } };
  assert.deepEqual(changesInWords({ changed, gain }), [
    "Of 20 answers 4 changed: 3 towards the truth, 1 away from it.",
    "Calls put right: 2; calls made wrong: 0.",
    "Your AUROC moved by −0.06 (−0.16 to +0.05, paired by case).",
  ]);
  assert.equal(changesInWords({ changed: { ...changed, towards_truth: 0, away_from_truth: 0 }, gain }).length, 1);
});

test("a stopwatch counts only while it runs", () => {
  let clock = 0;
  const watch = new Stopwatch(() => clock);
  watch.start();
  clock = 3000;
  watch.pause();
  clock = 60_000;
  watch.go();
  watch.go();
  clock = 62_000;
  assert.equal(watch.stop(), 5);
});
