// The cases of answers.json, which tests/cxrcore/models/test_answer_words.py holds against the library's words.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { foldedOf, foldTitle } from "../../../assets/app/result.js";
import * as words from "../../../assets/app/words.js";
import { chest, report } from "./facts.js";

const CASES = JSON.parse(readFileSync(new URL("answers.json", import.meta.url)));
const plain = (text) => text.replaceAll("\u00a0", " ");
const eachOf = (about, say) => Object.fromEntries(about.findings.map(({ name }) => [name, plain(say(name))]));

// As the library titles a finding: "Pleural_Thickening" -> "Pleural thickening".
function titled({ name, normal = false }) {
  const spaced = name.replaceAll("_", " ");
  return { name, normal, title: spaced[0].toUpperCase() + spaced.slice(1).toLowerCase() };
}

for (const one of CASES) {
  test(one.case, () => {
    const findings = one.findings.map(titled);
    const about = { ...chest, kind: one.kind, findings, binary: one.kind === "multiclass" && findings.length === 2 };
    const maps = Object.entries(one.rows).map(([name, row]) => {
      const [strength, level] = row.slice(3);
      return [name, { strength, evidence_level: level, evidence: level === null ? null : strength > level }];
    });
    const sent = { ...report(one.rows), heatmaps: Object.fromEntries(maps) };
    const { heatmaps } = sent;
    assert.equal(plain(words.summary(about, sent)), one.summary);
    assert.deepEqual(words.byAlarm(about, sent).map(({ name }) => name), one.order);
    assert.deepEqual(eachOf(about, (name) => words.verdict(about, sent, name)), one.verdicts);
    assert.deepEqual(eachOf(about, (name) => words.sentenceOf(about, sent, name, heatmaps[name])), one.sentences);
    const told = words.toldAgain(about, sent);
    assert.deepEqual([told.summary, told.sentences], [one.summary, one.sentences]);
  });
}

test("three answers are said in the sentence too", () => {
  const limits = { out: { Effusion: 0.1, Mass: 0.2 }, into: { Effusion: 0.6, Mass: 0.4 } };
  const rows = (share, answer) => ({ ...report({ Effusion: [share, answer, null] }), limits });
  const map = { evidence: true, strength: 3, evidence_level: 1 };
  const said = (share, answer) => plain(words.sentenceOf(chest, rows(share, answer), "Effusion", map));
  const stronger = "stronger than in 95 % of films without it";
  assert.equal(said(0.7, true), `The probability (70.0 %) rules it in, above 60 %, and the map is ${stronger}.`);
  assert.equal(said(0.3, null), `The map is ${stronger}, but the probability (30.0 %) rules it neither in nor out.`);
  assert.equal(said(0.05, false), `The map is ${stronger}, but the probability (5.0 %) rules it out, below 10 %.`);
});

test("of many findings those below their threshold are folded, but a single one, and one without, are not", () => {
  const row = (answer) => [0.1, answer, 0.5];
  const names = chest.findings.map(({ name }) => name);
  const rows = (...answers) => report(Object.fromEntries(names.map((name, at) => [name, row(answers[at])])));
  assert.deepEqual(foldedOf(chest, rows(true, false, null, false)), ["Nodule", "Mass"]);
  assert.deepEqual(foldedOf(chest, rows(true, false, null, true)), []);
  const few = { ...chest, findings: chest.findings.slice(0, 3) };
  assert.deepEqual(foldedOf(few, rows(false, false, false, false)), []);
  assert.equal(foldTitle(11), "11 findings below their thresholds");
  assert.equal(foldTitle(2, {}), "2 findings ruled out");
});
