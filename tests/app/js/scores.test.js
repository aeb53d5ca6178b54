import assert from "node:assert/strict";
import { test } from "node:test";

import * as scores from "../../../assets/app/scores.js";
import { chest, pneumonia } from "./facts.js";

const test_films = {
  dataset: "nih",
  split: "test",
  split_origin: "official",
  n: 25596,
  n_patients: 2797,
  macro: { auroc: { value: 0.8, low: 0.79, high: 0.81 } },
  findings: { Nodule: { n_pos: 1623, auroc: { value: 0.7 }, sensitivity: { value: 0.5 }, specificity: 0.044 } },
};

test("a score with its interval, without one, unknown", () => {
  assert.equal(scores.interval({ value: 0.9514, low: 0.93, high: 0.97 }), "0.951 (0.930–0.970)");
  assert.equal(scores.interval({ value: 0.9514, low: null, high: null }), "0.951");
  assert.equal(scores.interval({ value: null }), "not known");
  assert.equal(scores.interval(undefined), "not known");
});

test("the headline gives the score on the test films, and whose they were", () => {
  const mean = "Mean AUROC over its findings 0.800 (0.790–0.810), on 25,596 films of 2,797 patients";
  const headline = (about, more) =>
    scores.headline({ ...about, evaluations: [{ ...test_films, ...more }, { ...test_films, split: "val" }] });
  const official = " it never saw in training (the official test films of nih).";
  assert.equal(headline(chest, {}), mean + official);
  assert.match(headline(chest, { split_origin: "own" }), /\(nih, patients held out by this project\)\.$/);
  const hub = { ...chest, hub: "user/repo" };
  assert.match(headline(hub, { split_origin: "own" }), /held out by its makers\)\. These are/);
  assert.match(headline(chest, { split_origin: null }), /\(nih, test\)\.$/);
  const single = { findings: { Pneumonia: { auroc: { value: 0.95 } } } };
  assert.match(headline(pneumonia, single), /^AUROC for pneumonia 0\.950, on /);
});

test("a model without scores says so", () => {
  assert.equal(scores.headline(chest), "How good it is was not measured: the model carries no scores.");
  assert.match(scores.headline({ ...chest, members: 2 }), /^How good its members are together was not measured/);
});

test("the table of scores: one row a finding, none for the complement of a disease", () => {
  const row = ["Nodule", "1,623", "0.700", "50\u00a0%", "4.4\u00a0%"];
  assert.deepEqual(scores.scoreRows(chest, test_films), [row]);
  assert.equal(scores.COLUMNS.length, row.length);
  const findings = { Normal: test_films.findings.Nodule, Pneumonia: test_films.findings.Nodule };
  assert.deepEqual(scores.scoreRows(pneumonia, { findings }).map(([title]) => title), ["Pneumonia"]);
  assert.equal(scores.rate(null), "–");
});
