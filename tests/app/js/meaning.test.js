import assert from "node:assert/strict";
import { test } from "node:test";

import * as meaning from "../../../assets/app/meaning.js";
import { chest } from "./facts.js";

const scored = {
  dataset: "nih",
  split: "test",
  n: 1000,
  n_patients: 400,
  findings: {
    Effusion: { prevalence: 0.2, sensitivity: 0.8, specificity: 0.9, intervals: { sensitivity: [0.7, 0.88] } },
    Hernia: { prevalence: 0.01, sensitivity: null, specificity: null },
  },
};
const about = { ...chest, evaluations: [scored] };
const plain = (text) => text.replaceAll("\u00a0", " ");

test("predictive values are Bayes' rule", () => {
  // 1,000 films, 200 with the finding: 160 found, 80 false alarms; 720 cleared, 40 missed.
  const { ppv, npv } = meaning.predictiveValues(0.8, 0.9, 0.2);
  assert.ok(Math.abs(ppv - 160 / 240) < 1e-12);
  assert.ok(Math.abs(npv - 720 / 760) < 1e-12);
  assert.deepEqual(meaning.predictiveValues(0, 1, 0.2), { ppv: null, npv: 0.8 });
});

test("rates in words, and below the threshold that a finding is not excluded", () => {
  const above = plain(meaning.ratesInWords(about, "Effusion", true));
  assert.match(above, /^On 1,000 films of 400 patients that it never saw, .* above its threshold in 80 % \(70–88\)/);
  assert.match(above, /and was not in 90 % of those without it \(specificity\)\.$/);
  const below = plain(meaning.ratesInWords(about, "Effusion", false));
  assert.match(below, /Not shown is not excluded: 20 % of the films with it/);
});

test("a finding whose rates were not measured says nothing", () => {
  assert.equal(meaning.rates(about, "Hernia"), null);
  assert.equal(meaning.ratesInWords(chest, "Effusion", true), "");
});

test("what an answer is worth falls where the finding is rare", () => {
  const row = meaning.rates(about, "Effusion");
  assert.equal(
    plain(meaning.worthInWords(row, 0.2, true)),
    "There, this answer would be right in 66.7 % of cases (positive predictive value).",
  );
  assert.match(plain(meaning.worthInWords(row, 0.01, true)), /right in 7\.5 % of cases/);
  assert.match(plain(meaning.worthInWords(row, 0.01, false)), /right in 99\.8 % of cases \(negative/);
});

test("how often validation films like this one had the finding", () => {
  const bins = [
    { from: 0, to: 0.5, n: 1200, frequency: 0.02, low: 0.01, high: 0.04 },
    { from: 0.5, to: 1, n: 1, frequency: 1, low: null, high: null },
  ];
  const known = { ...about, frequencies: { Effusion: bins } };
  const told = (share) => plain(meaning.frequencyInWords(known, "Effusion", share));
  assert.equal(told(0.2), "Of 1,200 validation films with a probability from 0 to 50 %, 2.0 % (1–4) had it.");
  assert.equal(told(1), "Of 1 validation film with a probability from 50 to 100 %, 100 % had it.");
  assert.equal(meaning.frequencyInWords(about, "Effusion", 0.2), "");
});
